from .options import PhantomOptions
from .randomization import random_options
from .rendering import Rendered, density_calibration, render
from .scene import Scene, make_scene
from .simulate import simulate_volume
from .truth import truth_table

__all__ = [
    "PhantomOptions",
    "Rendered",
    "Scene",
    "density_calibration",
    "make_scene",
    "random_options",
    "render",
    "simulate_volume",
    "truth_table",
]
