"""Annotations as training slices: COCO, VIA 1 and 2, label images, labelled volumes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
