"""3D particles -> one row each, maps over their surfaces and the contacts between them."""

from tomostat.measure.contacts import open_contacts, read_contacts, write_contacts
from tomostat.measure.export import write_meshes
from tomostat.measure.particles import measure_particles
from tomostat.measure.table import concatenate_particles, open_particles, write_particles

__all__ = [
    "concatenate_particles",
    "measure_particles",
    "open_contacts",
    "open_particles",
    "read_contacts",
    "write_contacts",
    "write_meshes",
    "write_particles",
]
