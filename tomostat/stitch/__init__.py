"""2D detections to 3D particles that no chunking can change.

Kernels: links between slices, tracks, merge decisions over the whole volume, masks with missed slices filled and shared
ones divided, voxels with boundaries from the phases. `graph` keeps the decisions as a merge graph, `particles` runs all
of it block by block, `edit` corrects by hand, `check` looks for what went wrong where blocks meet.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
