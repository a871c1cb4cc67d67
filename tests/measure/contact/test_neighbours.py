"""Which particles touch, and over what area."""

from __future__ import annotations

import numpy as np
import pytest

from shapes import ball
from tomostat.measure.contact.neighbours import NearParticle, contact_pairs, count_contacts, near_particles
from tomostat.measure.shape.surface import extract_surface


def test_areas_go_to_the_particles_touched() -> None:
    """Two caps of a ball: each area is that of its cap."""
    mask = ball(20, margin=6)
    z, _, x = np.indices(mask.shape) - np.array(mask.shape)[:, None, None, None] // 2
    labels = np.where(mask > 0, 4, np.where(x > 12, 9, np.where((z < -14) & (x < 0), 2, 0))).astype(np.uint32)
    surface = extract_surface(mask, (1.0, 1.0, 1.0))
    point = surface.point - np.array(mask.shape) // 2
    beyond = point + 1.2 * surface.normal
    particle = (beyond[:, 2] > 12) | ((beyond[:, 0] < -14) & (beyond[:, 2] < 0))
    found = {one.label: one.area for one in near_particles(surface, labels, 4, particle, 1.2)}
    assert set(found) == {2, 9}
    assert found[9] == pytest.approx(surface.area[beyond[:, 2] > 12].sum(), rel=0.03)
    assert sum(found.values()) == pytest.approx(surface.area[particle].sum(), rel=1e-5)
    alone = np.where(labels == 4, labels, 0)
    assert near_particles(surface, alone, 4, particle, 1.2) == []


CLOSE, VOXELS = (90, 90, 90), (1.0, 1.0, 1.0)


def near(label: int, area: float) -> NearParticle:
    """A particle that touches another over many faces."""
    return NearParticle(label, area, joined=True, close=CLOSE)


def test_pairs_against_brute_force() -> None:
    unknown = float("nan")
    found = {1: [near(2, 3.0), near(4, 1.0)], 2: [near(1, 5.0)], 3: [near(4, 0.0)]}
    found |= {4: [near(1, unknown)], 6: [near(7, unknown)]}
    pairs = contact_pairs(found, {1, 2, 3}, dict.fromkeys(range(8), 900.0), VOXELS)
    a, b, area = pairs.a, pairs.b, pairs.area
    assert list(zip(a.tolist(), b.tolist(), strict=True)) == [(1, 2), (1, 4), (3, 4), (6, 7)]
    np.testing.assert_array_equal(area, [4.0, 1.0, 0.0, np.nan])
    assert count_contacts(np.array([1, 2, 3, 4, 5, 6, 7], np.uint32), a, b).tolist() == [2, 1, 1, 2, 0, 1, 1]
    none = contact_pairs({}, set(), {}, VOXELS)
    assert [len(none.a), len(none.b), len(none.area)] == [0, 0, 0]


def test_pairs_that_are_near_but_apart_are_left_out() -> None:
    """Four faces between balls 40 voxels across: a gap of most of a voxel."""
    volume = dict.fromkeys((1, 2, 3), 4 / 3 * np.pi * 20**3)
    apart = NearParticle(2, 4.0, joined=True, close=(0, 0, 8))
    found = {1: [apart, near(3, 50.0)]}
    assert contact_pairs(found, {1, 2, 3}, volume, VOXELS).b.tolist() == [3]
    specks = dict.fromkeys((1, 2, 3), 4.0)
    assert contact_pairs(found, {1, 2, 3}, specks, VOXELS).b.tolist() == [2, 3], "of a few voxels nothing is known"
    lines = {1: [apart._replace(joined=False)]}
    assert contact_pairs(lines, {1, 2}, volume, VOXELS).b.tolist() == [2], (
        "labels of a watershed share no face anywhere"
    )
