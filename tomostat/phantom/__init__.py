"""Synthetic electrodes with complete ground truth, block by block, any size.

`make_scene` places and shapes the particles, `render` turns any box of voxels into grey values, labels and phases,
`truth_table` knows each particle's detachment, `simulate_volume` writes an OME-Zarr volume with its truth.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
