from .collect import collect_particles
from .contact_table import open_contacts, read_contacts, write_contacts
from .field import FieldParticles
from .measures import MEASURES, Axis, Measure, MeasureSet, chosen_measures, of_field, of_particle
from .options import MeasureOptions
from .particle import Particle
from .particles import measure_particles
from .table import all_columns, concatenate_particles, write_particles

__all__ = [
    "MEASURES",
    "Axis",
    "FieldParticles",
    "Measure",
    "MeasureOptions",
    "MeasureSet",
    "Particle",
    "all_columns",
    "chosen_measures",
    "collect_particles",
    "concatenate_particles",
    "measure_particles",
    "of_field",
    "of_particle",
    "open_contacts",
    "read_contacts",
    "write_contacts",
    "write_particles",
]
