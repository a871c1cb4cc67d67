"""3D particles -> one row each."""

from tomostat.measure.particles import measure_particles
from tomostat.measure.table import concatenate_particles, open_particles, write_particles

__all__ = ["concatenate_particles", "measure_particles", "open_particles", "write_particles"]
