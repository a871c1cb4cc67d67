"""From 2D detections to 3D particles that do not depend on how the volume is cut into blocks.

Kernels link instances of neighbouring slices (`kernels.link`), chain them into tracks (`kernels.tracks`), find pairs of
tracks that may be one particle (`kernels.candidates`), decide on them over the whole volume (`kernels.merging`), number
the particles (`kernels.numbering`), complete their masks (`kernels.masks`) and turn them into voxels whose boundaries
follow the phases (`kernels.paint`, `kernels.refine`, `kernels.edges`). `particles` runs the kernels block by block,
`graph` keeps the decisions as a merge graph, `agreement` brings together what slices along several axes say
(`kernels.consensus`), `repaint` applies corrections by hand, `check` looks for faults where blocks meet.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
