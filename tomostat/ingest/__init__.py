"""Volumes of any kind -> OME-Zarr, block by block; `readers` holds one module for every kind of file.

`probe` looks at a source without reading its voxels, `ingest_volume` brings it in.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
