"""Decisions between void and carbon-binder on the surface of a ball."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shapes import ball
from tomostat.kernels.arrays import Floats
from tomostat.measure.contact.classify import SMALLEST_CONTACT, SMALLEST_GAP, classify_contact, remove_small_regions
from tomostat.measure.contact.mixture import Component, Mixture
from tomostat.measure.shape.averaging import SmoothingWeights, smoothing_weights
from tomostat.measure.shape.surface import Surface, extract_surface

RADIUS = 20.0
Cap = NDArray[np.bool_]


@pytest.fixture(scope="module")
def surface() -> Surface:
    return extract_surface(ball(RADIUS).astype(np.uint8), (1.0, 1.0, 1.0))


@pytest.fixture(scope="module")
def weights(surface: Surface) -> SmoothingWeights:
    return smoothing_weights(surface)


def cap(surface: Surface, area: float) -> Cap:
    """The points nearest to one place on the ball, as many as have some area in voxel faces together."""
    along = (surface.point - surface.point.mean(axis=0)) @ np.array([0.6, 0.48, 0.64])
    order = np.argsort(-along)
    chosen = np.zeros(len(surface), np.bool_)
    chosen[order[np.cumsum(surface.area[order]) <= area]] = True
    return chosen


def cleaned(surface: Surface, weights: SmoothingWeights, contact: Cap, sure: float, blur: float) -> Floats:
    certainty = np.full(len(surface), sure, np.float32)
    return remove_small_regions(contact.astype(np.float32), certainty, surface.area, weights, 1.0, blur)


@pytest.mark.parametrize("blur", [1.2, 2.4])
@pytest.mark.parametrize(("least", "power", "inside"), [(SMALLEST_CONTACT, 3, True), (SMALLEST_GAP, 1, False)])
def test_a_region_counts_by_area_and_certainty(
    surface: Surface, weights: SmoothingWeights, blur: float, least: float, power: int, inside: bool
) -> None:
    """Contacts in a gap and gaps in a contact: half as large as the least they are gone, twice as large they stay."""
    for sure in (1.0, 0.5):
        limit = least * (blur / 1.2) ** power / sure
        small, large = (cap(surface, factor * limit) == inside for factor in (0.5, 2.0))
        assert (cleaned(surface, weights, small, sure, blur) == (not inside)).all()
        assert ((cleaned(surface, weights, large, sure, blur) > 0.5) == large).all()


def test_borders_lie_where_the_layer_crosses_the_limit(surface: Surface, weights: SmoothingWeights) -> None:
    mixture = Mixture(Component(0.0, 0.1, 1), Component(0.8, 0.1, 1), share=0.95)
    along = surface.point[:, 0] - surface.point[:, 0].mean()
    layer = np.clip(0.4 + 0.08 * along, 0.0, 0.8).astype(np.float32)
    contact = classify_contact(layer, surface.area, mixture, weights)
    assert ((contact > 0.5) == (layer > mixture.limit)).all()
    assert set(np.unique(contact[np.abs(along) > 12])) == {0.0, 1.0}
    share = float((contact * surface.area).sum() / surface.area.sum())
    assert share == pytest.approx(0.5, abs=0.01)
