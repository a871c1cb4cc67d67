from .agreement import read_agreement
from .check import Problem, check_particles
from .edits import Edit, known_edits, read_edits, with_edits, write_edits
from .graph import MergeGraph, open_graph, relabelled
from .options import StitchOptions
from .particles import stitch_particles
from .repaint import edit_particles

__all__ = [
    "Edit",
    "MergeGraph",
    "Problem",
    "StitchOptions",
    "check_particles",
    "edit_particles",
    "known_edits",
    "open_graph",
    "read_agreement",
    "read_edits",
    "relabelled",
    "stitch_particles",
    "with_edits",
    "write_edits",
]
