"""Contact of balls in segmentations whose carbon-binder is known voxel by voxel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from shapes import CUBIC, SPACINGS, Spacing, around, places
from tomostat.measure.contact.layers import LEVELS, SurfaceContact, Surroundings
from tomostat.measure.contact.segmented import contact_in_phases
from tomostat.measure.shape.surface import Surface, extract_surface
from tomostat.phase import Phase

RADIUS = 14.0


class Found(NamedTuple):
    surface: Surface
    contact: SurfaceContact

    def share(self, flag: NDArray) -> float:
        return float((self.surface.area * flag).sum() / self.surface.total)


def distances(spacing: Spacing) -> tuple[NDArray, NDArray]:
    """Distance to the ball's middle in micrometers, and the cosine to the first axis."""
    z, y, x = places(around(RADIUS, spacing, margin=8), spacing)
    distance = np.sqrt(z**2 + y**2 + x**2)
    return distance, np.broadcast_to(z, distance.shape) / np.maximum(distance, 1e-9)


def found(ball: NDArray, phases: NDArray, spacing: Spacing = CUBIC, other: NDArray | None = None) -> Found:
    phases = np.where(ball, Phase.ACTIVE, phases).astype(np.uint8)
    other = np.zeros(ball.shape, bool) if other is None else other
    none = np.zeros(ball.shape, bool)
    surface = extract_surface(ball.astype(np.uint8), spacing)
    near = Surroundings(np.zeros(ball.shape, np.float32), other, other.view(np.uint8), none, none)
    return Found(surface, contact_in_phases(surface, near, phases, 2))


def face_share(ball: NDArray, binder: NDArray) -> float:
    """Share of the ball's voxel faces that have carbon-binder on the other side."""
    touching, total = 0, 0
    for axis in range(3):
        for step in (-1, 1):
            face = ball & ~np.roll(ball, -step, axis)
            total += int(face.sum())
            touching += int((face & np.roll(binder, -step, axis)).sum())
    return touching / total


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("cosine", [-0.6, 0.0, 0.7])
def test_a_cap_in_carbon_binder(spacing: Spacing, cosine: float) -> None:
    distance, cosines = distances(spacing)
    ball = distance <= RADIUS
    one = found(ball, np.where(cosines > cosine, Phase.CBD, Phase.PORE), spacing)
    shares = [one.share(binder) for binder in one.contact.binder]
    assert shares[0] == pytest.approx((1 - cosine) / 2, abs=0.03)
    assert shares[2] == pytest.approx((1 - cosine) / 2, abs=0.06)  # where faces look past the border
    assert shares == sorted(shares)
    assert one.contact.known.all()
    assert 0 < one.contact.deviation < 0.05
    np.testing.assert_array_equal(one.contact.at_level, [one.contact.binder[1]] * len(LEVELS))


@pytest.mark.parametrize("covered", [0.3, 0.6, 0.9])
def test_a_patchy_film_of_one_voxel(covered: float) -> None:
    """Image analysis that undoes a blur finds hardly any of it; in a segmentation every voxel counts."""
    distance, _ = distances(CUBIC)
    ball = distance <= RADIUS
    film = ndimage.binary_dilation(ball) & ~ball
    patches = ndimage.uniform_filter(np.random.default_rng(3).random(ball.shape), 3)
    binder = film & (patches < np.quantile(patches[film], covered))
    one = found(ball, np.where(binder, Phase.CBD, Phase.PORE))
    assert one.share(one.contact.binder[0]) == pytest.approx(face_share(ball, binder), abs=0.04)


@pytest.mark.parametrize("gap", [1, 2])
def test_gaps_within_the_tolerance_count_as_contact(gap: int) -> None:
    """A box, whose gap is as wide along every face."""
    box = np.zeros((30, 32, 34), bool)
    box[8:-8, 8:-8, 8:-8] = True
    void = ndimage.binary_dilation(box, np.ones((3, 3, 3)), iterations=gap)
    one = found(box, np.where(void, Phase.PORE, Phase.CBD))
    shares = [one.share(binder) for binder in one.contact.binder]
    assert shares[:gap] == [0.0] * gap
    assert shares[gap:] == pytest.approx([1.0] * (3 - gap))


def test_another_particle_is_no_carbon_binder() -> None:
    distance, cosines = distances(CUBIC)
    ball = distance <= RADIUS
    other = ~ball & (cosines > 0.5)
    phases = np.where(other, Phase.ACTIVE, Phase.CBD)
    for known in (other, None):  # active material without a label is another particle that was not found
        one = found(ball, phases, other=known)
        assert one.share(one.contact.particle) == pytest.approx(0.25, abs=0.03)
        assert one.share(one.contact.binder[1]) == pytest.approx(0.75, abs=0.03)
        assert one.contact.open_area == pytest.approx(0.75 * one.surface.total, rel=0.05)
