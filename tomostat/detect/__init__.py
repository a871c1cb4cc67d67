"""Slices to 2D instances: Mask R-CNN, the watershed baseline, training and annotations."""

from importlib import import_module
from typing import Any

_WHERE = {
    "check_detector": "stage",
    "detect_instances": "stage",
    "detect_tasks": "stage",
    "make_detector": "stage",
    "NetworkDetector": "predict",
    "WatershedDetector": "watershed",
    "build": "maskrcnn",
    "load_checkpoint": "checkpoint",
    "save_checkpoint": "checkpoint",
    "activation_map": "maskrcnn",
    "train": "train",
}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    """Import a public name on first use: torch is heavy."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
