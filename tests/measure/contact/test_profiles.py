"""Profiles along the normal, and layers of ideal ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import ndtr

from properties import examples
from shapes import ball, places
from tomostat.measure.contact.profiles import POSITIONS, GreyLevels, fit_layers, sample_profiles
from tomostat.measure.shape.surface import extract_surface


def layers_of(values: NDArray[np.float64], blur: float, edge: float, noise: float) -> tuple[NDArray, float]:
    """Layers and edge that are found in the profile of a particle with some layers outside it, of contrast 0.24."""
    steps = np.array([-np.inf, 0, 1, 2, 3, 4, 5.5, np.inf])
    covered = ndtr((POSITIONS[:, None] - edge - steps[None, :]) / np.sqrt(blur**2 + 1 / 6))
    share = covered[:, :-1] - covered[:, 1:]
    profile = (share @ np.concatenate([[1.0], 0.24 * values]))[None, :].astype(np.float32)
    levels = GreyLevels(0.0, 0.24, 1.0, None, blur, noise)
    layers, place = fit_layers(profile, np.ones_like(profile), np.zeros_like(profile), levels)
    return layers[0], float(place[0])


@examples(10)
@given(st.floats(0.7, 1.4), st.floats(-0.2, 0.2), st.floats(0, 1), st.floats(0, 1))
def test_layers_of_ideal_profiles(blur: float, edge: float, first: float, last: float) -> None:
    """Profiles of slowly changing layers come apart again."""
    even = np.linspace(first, last, 6)
    layers, place = layers_of(even, blur, edge, noise=1e-3)
    assert layers[:2].mean() == pytest.approx(even[:2].mean(), abs=0.2)
    assert place == pytest.approx(edge, abs=0.12)


@pytest.mark.parametrize("depth", [3, 4])
@pytest.mark.parametrize("edge", [-0.2, 0.0, 0.2])
def test_gaps_and_films_no_wider_than_the_blur(depth: int, edge: float) -> None:
    """At a blur of 2 voxels, with noise of half the contrast of carbon-binder."""
    gap = np.where(np.arange(6) < depth, 0.0, 0.85)
    inner, outer = (layers_of(values, 2.0, edge, noise=0.12)[0][:2].mean() for values in (gap, 0.85 - gap))
    assert inner < 0.2
    assert outer > 0.65


def test_profiles_of_a_ramp() -> None:
    """Along its normal a surface point sees a linear image change linearly, at any voxel size."""
    spacing = (2.0, 1.0, 0.7)
    mask = ball(12, spacing)
    z, y, x = places(mask.shape, spacing)
    image = (2 * z - y + 3 * x).astype(np.float32)
    surface = extract_surface(mask, spacing)
    value, share = sample_profiles(surface, image, np.ones(mask.shape, np.uint8), np.array([-1.0, 0.0, 2.0]))
    slope = surface.normal @ np.array([2, -1, 3], np.float32)
    pitch = np.linalg.norm(surface.normal * np.array(spacing), axis=1)
    np.testing.assert_allclose(value[:, 2] - value[:, 0], 3 * slope * pitch, atol=2e-3)
    np.testing.assert_allclose(share, 1, atol=1e-5)
