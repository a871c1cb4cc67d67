"""Reading volumes of many file formats into OME-Zarr, block by block; `readers` holds one module per format.

`probe` finds the voxels of a file without reading them, `ingest_volume` copies them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
