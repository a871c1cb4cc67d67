"""Volumes on disk: OME-Zarr 0.5, sharded, halved in all three axes, with label images beside the grey values.

A store holds the grey image at its root, label images under ``labels/`` and maps of measured values under ``maps/``.
All are multiscale groups whose arrays are named ``0``, ``1``, ... . Metadata beyond OME-Zarr (density scale, fitted
grey levels) are in the group's attribute ``tomostat``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
