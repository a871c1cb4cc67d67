"""Volumes of any kind -> OME-Zarr: TIFF slices and stacks, HDF5 / NeXus, raw, npy, zarr and OME-Zarr.

`probe` looks at a source without reading its voxels, `ingest_volume` brings it in block by block.
"""

from tomostat.ingest.stream import ingest_volume, probe

__all__ = ["ingest_volume", "probe"]
