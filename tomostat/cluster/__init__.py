"""Where it runs: this machine, a running scheduler, or jobs of a batch system that are kept alive."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
