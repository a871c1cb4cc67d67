"""Sections through a particle: what its outline touches, at a known ball."""

from __future__ import annotations

import numpy as np
import pytest

from tomostat.phase import Phase
from tomostat.report.kernels.sections import PHASE_STEP, Edge, grid_places, section_codes, sections

SIZE = 40


def ball(radius: float = 8.0) -> tuple[np.ndarray, np.ndarray]:
    """A ball in a box of 24^3, in contact where x is small; and the map of its contact."""
    z, y, x = np.indices((24, 24, 24)) - 11.5
    distance = np.sqrt(z**2 + y**2 + x**2)
    own = distance < radius
    contact = np.where(own & (distance > radius - 1.5), (x < 0).astype(np.float32), np.float32(np.nan))
    return own, contact


def test_places_cover_the_cube() -> None:
    places = grid_places(5.0, 2.0, 4)
    np.testing.assert_allclose(places, [3.5, 4.5, 5.5, 6.5])


def test_outline_of_a_ball_touches_on_one_side() -> None:
    own, contact = ball()
    phases = np.where(own, Phase.ACTIVE, Phase.CBD).astype(np.uint8)
    grey = np.where(own, 200, 50).astype(np.uint8)
    middle, reach = (11.5, 11.5, 11.5), (15.0, 15.0, 15.0)
    shades, codes = sections(grey, own, phases, contact, middle, reach, SIZE)
    assert shades.shape == codes.shape == (SIZE, 3 * SIZE)
    for part in range(2):  # across z and y: x runs to the right
        code = codes[:, part * SIZE : (part + 1) * SIZE]
        edge, phase = code % PHASE_STEP, code // PHASE_STEP
        assert set(edge[:, : SIZE // 2].ravel()) == {Edge.OUTSIDE, Edge.INSIDE, Edge.CONTACT}
        assert set(edge[:, SIZE // 2 :].ravel()) == {Edge.OUTSIDE, Edge.INSIDE, Edge.GAP}
        assert np.count_nonzero(edge >= Edge.INSIDE) * (30 / SIZE) ** 2 == pytest.approx(np.pi * 8**2, rel=0.08)
        assert set(phase.ravel()) == {Phase.CBD, Phase.ACTIVE, Phase.OUTSIDE}  # the cube reaches beyond the box
        assert shades[:, part * SIZE : (part + 1) * SIZE][edge == Edge.INSIDE].min() > 150


def test_an_outline_that_nothing_is_known_of() -> None:
    own, contact = ball()
    grey = own.astype(np.float32)
    _, codes = sections(grey, own, None, None, (11.5, 11.5, 11.5), (10.0, 10.0, 10.0), SIZE)
    assert set((codes % PHASE_STEP).ravel()) == {Edge.OUTSIDE, Edge.INSIDE, Edge.UNKNOWN}
    far = np.full((9, 9), np.nan, np.float32)
    far[0, 0] = 1.0
    one = np.zeros((9, 9), bool)
    one[8, 8] = True
    assert section_codes(one, np.zeros((9, 9), np.uint8), far)[8, 8] == Edge.UNKNOWN
    assert np.isfinite(contact).any()
