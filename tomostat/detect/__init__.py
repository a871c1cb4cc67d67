"""Finding particles in slices: detectors, the Mask R-CNN network and its training, annotations."""

import os

import lazy_loader

KEPT_SHAPES = "128"
"""Shapes of arrays for which torch keeps, on a CPU, what it prepared to compute with; more than a network has layers.

Every number of particles in a slice is another shape. With the 1024 that torch and oneDNN keep otherwise, a worker
grows for hundreds of slices, by 250 MiB and more.
"""

# torch and oneDNN read them when they first compute
os.environ.setdefault("LRU_CACHE_CAPACITY", KEPT_SHAPES)
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", KEPT_SHAPES)

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
