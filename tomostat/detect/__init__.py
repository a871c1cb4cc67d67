"""Finding particles in slices: detectors, the Mask R-CNN network and its training, annotations."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
