"""Profiles along the normal, and layers of ideal ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import examples
from shapes import ball, places
from tomostat.measure.contact.profiles import POSITIONS, GreyLevels, fit_layers, sample_profiles
from tomostat.measure.shape.surface import extract_surface


@examples(5)
@given(st.floats(0.7, 1.4), st.floats(-0.2, 0.2), st.floats(0, 1), st.floats(-0.5, 0.5))
def test_layers_of_ideal_profiles(blur: float, edge: float, first: float, change: float) -> None:
    """Profiles of layers that change by half the contrast at most come apart again.

    Over a grid of all these the largest errors are 0.21 and 0.12; layers that fall from 1 to 0 reach 0.27 and 0.14,
    since neighbours are expected to be alike.
    """
    from scipy.stats import norm

    steps = np.array([-np.inf, 0, 1, 2, 3, 4, 5.5, np.inf])
    even = np.linspace(first, min(max(first + change, 0), 1), 6)
    values = np.concatenate([[1 / 0.24], even])
    width = np.sqrt(blur**2 + 1 / 6)
    covered = norm.cdf((POSITIONS[:, None] - edge - steps[None, :]) / width)
    profile = (0.24 * ((covered[:, :-1] - covered[:, 1:]) * values).sum(axis=1))[None, :].astype(np.float32)
    one, none = np.ones_like(profile), np.zeros_like(profile)
    layers, place = fit_layers(profile, one, none, GreyLevels(0.0, 0.24, 1.0, None, blur, 1e-3))
    assert layers[0, :2].mean() == pytest.approx(even[:2].mean(), abs=0.25)
    assert place[0] == pytest.approx(edge, abs=0.14)


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
