"""The structure of a field: volume fractions and specific surfaces of its phases, tortuosity, and how they converge.

`measure_structure` counts over a fixed grid of cells; parts of the volume are whole cells, and one pass gives them all.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
