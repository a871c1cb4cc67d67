"""Slices to 2D instances: detectors of `detectors`, training of the network, annotations."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
