"""Packing: particles do not overlap."""

from __future__ import annotations

import numpy as np

from tomostat.phantom.kernels.shape import directions, interpolate


def test_particles_do_not_overlap(many):
    particles, (vectors, _) = many.particles, directions()
    deepest = 0.0
    for i, (centre, table) in enumerate(zip(particles.centre, particles.radius, strict=True)):
        surface = (centre + vectors * table[..., None]).reshape(-1, 3)
        apart = np.linalg.norm(particles.centre - centre, axis=1)
        for j in np.flatnonzero(apart < particles.bound + particles.bound[i]):
            if i != j:
                offset = surface - particles.centre[j]
                near = offset[np.linalg.norm(offset, axis=1) < particles.bound[j]]
                depth = [interpolate(particles.radius[j], *v) - np.linalg.norm(v) for v in near]
                deepest = max([deepest, *depth])
    assert deepest < 0.02  # micrometers: a tenth of a voxel
