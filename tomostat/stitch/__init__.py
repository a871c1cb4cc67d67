"""2D detections to 3D particles that no chunking can change.

Links between slices (`link`), tracks (`tracks`), decisions over the whole volume (`decide`) kept as a merge graph
(`graph`), masks with missed slices filled and shared ones divided (`masks`), voxels (`paint`) with boundaries from the
phases (`refine`); `stage` runs them block by block.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tomostat.stitch.check import Problem, check_particles
    from tomostat.stitch.edit import edit_particles, with_edits
    from tomostat.stitch.graph import Edit, MergeGraph, open_graph, read_edits, write_edits
    from tomostat.stitch.stage import stitch_particles

_HOMES = {
    "Edit": "graph",
    "MergeGraph": "graph",
    "Problem": "check",
    "check_particles": "check",
    "edit_particles": "edit",
    "open_graph": "graph",
    "read_edits": "graph",
    "stitch_particles": "stage",
    "with_edits": "edit",
    "write_edits": "graph",
}

__all__ = [
    "Edit",
    "MergeGraph",
    "Problem",
    "check_particles",
    "edit_particles",
    "open_graph",
    "read_edits",
    "stitch_particles",
    "with_edits",
    "write_edits",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
