from .check import Problem, check_particles
from .edit import edit_particles, with_edits
from .graph import Edit, MergeGraph, known_edits, open_graph, read_edits, write_edits
from .options import StitchOptions
from .particles import stitch_particles

__all__ = [
    "Edit",
    "MergeGraph",
    "Problem",
    "StitchOptions",
    "check_particles",
    "edit_particles",
    "known_edits",
    "open_graph",
    "read_edits",
    "stitch_particles",
    "with_edits",
    "write_edits",
]
