"""Synthetic electrodes with complete ground truth, block by block, any size.

`make_scene` places and shapes the particles, `render` computes grey values, labels and phases of any box of voxels,
`truth_table` tabulates the true detachment of each particle, `simulate_volume` writes an OME-Zarr volume with its
ground truth.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
