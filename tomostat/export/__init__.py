"""Finished results as files of other programs: images, surfaces, annotations, tables.

Every format is a module of `tomostat.export.formats`, named like the format, with an object ``FORMAT``; installed
packages offer theirs as entry points of the group ``tomostat.formats``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
