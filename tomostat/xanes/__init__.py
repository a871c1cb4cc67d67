"""A stack of images over photon energies -> a map of edge energy, and of valence."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
