"""Synthetic electrodes with complete ground truth, block by block, any size.

`make_scene` places and shapes the particles, `render` turns any box of voxels into grey values, labels and phases,
`truth_table` knows each particle's detachment, `simulate_volume` writes an OME-Zarr volume with its truth.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tomostat.phantom.rendering import Rendered, density_calibration, render
    from tomostat.phantom.scene import Scene, make_scene
    from tomostat.phantom.simulate import simulate_volume
    from tomostat.phantom.truth import truth_table
    from tomostat.phantom.variety import random_options

_HOMES = {
    "Rendered": "rendering",
    "Scene": "scene",
    "density_calibration": "rendering",
    "make_scene": "scene",
    "random_options": "variety",
    "render": "rendering",
    "simulate_volume": "simulate",
    "truth_table": "truth",
}

__all__ = [
    "Rendered",
    "Scene",
    "density_calibration",
    "make_scene",
    "random_options",
    "render",
    "simulate_volume",
    "truth_table",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
