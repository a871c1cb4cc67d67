"""3D particles -> one row each, maps over their surfaces and the contacts between them.

What is measured is declared beside the functions that compute it, in a package for every question: `shape`, `contact`,
`transport`, `interior` and `sampling`, kernels all of them. `measures` says what a declaration is, `particle` what a
function of a single particle is given, `field` what one of a whole field is; `particles` runs them all.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
