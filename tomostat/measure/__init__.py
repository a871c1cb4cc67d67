"""3D particles to a table with one row each, maps over their surfaces and the contacts between them.

Columns are declared beside the functions that compute them, in one package per topic: `shape`, `contact`,
`transport`, `interior` and `sampling`, which hold kernels only. `measures` defines declarations, `particle` the
argument of functions of a single particle, `field` that of functions of a whole field; `particles` runs them all, by
the tasks in `tasks`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
