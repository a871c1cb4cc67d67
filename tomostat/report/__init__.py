"""Results -> a page that opens offline: figures, tables, pictures of slices and particles."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
