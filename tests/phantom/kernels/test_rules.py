"""Phase and particle of single points: as the voxel loop writes them."""

from __future__ import annotations

import numpy as np

from shapes import IDEAL_IMAGE, SMALL_ELECTRODE, render_all
from tomostat.phantom import PhantomOptions, make_scene
from tomostat.phantom.kernels.rules import are_visible, ball_fraction, phase_at
from tomostat.phase import Phase


def test_points_have_the_phase_and_particle_of_their_voxel():
    scene = make_scene(PhantomOptions(**SMALL_ELECTRODE, **IDEAL_IMAGE, collector=1.0, headspace=1.0, touching=0.5))
    made = render_all(scene)
    every = np.arange(len(scene.particles.centre))
    voxels = np.random.default_rng(0).integers(0, scene.options.shape, (2000, 3))
    found = set()
    for voxel in voxels:
        phase, owner = phase_at(scene.particles, scene.surroundings, every, *(voxel * scene.options.spacing))
        label = made.labels[tuple(voxel)]
        assert owner + 1 == label
        assert phase == (Phase.ACTIVE if label else made.phases[tuple(voxel)])
        found.add(phase)
    assert found == {Phase.PORE, Phase.CBD, Phase.ACTIVE, Phase.COLLECTOR}


def test_visible_particles_are_those_with_a_voxel(faulty, faulty_voxels):
    options = faulty.options
    found = are_visible(faulty.particles, np.array(options.shape), np.array(options.spacing), 0.45 * 48)
    assert found[: faulty.count].all()
    assert not found[faulty.count :].any()
    assert len(np.unique(faulty_voxels.labels)) == faulty.count + 1


def test_share_of_points_in_balls():
    points = np.random.default_rng(0).uniform(0, 10, (20_000, 3))
    centres, radii = np.array([[3.0, 3.0, 3.0], [7.0, 7.0, 7.0]]), np.array([2.0, 2.5])
    assert abs(ball_fraction(centres, radii, points) - 4 / 3 * np.pi * (8 + 2.5**3) / 1000) < 0.01
