"""Field of view: what lies outside it is recognised, and nothing is taken for outside by mistake."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from properties import examples
from tomostat.phases.kernels.outside import (
    HALO,
    Outside,
    choose_outside,
    constant_areas,
    fit_circle,
    outside_mask,
)


def disc(shape, centre, radius):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(y - centre[0], x - centre[1]) <= radius


@pytest.mark.parametrize("value", [0, 99, 255])
def test_a_round_field_of_view_is_found(value):
    rng = np.random.default_rng(0)
    field = disc((90, 100), (44.3, 50.1), 42.7)
    images = np.where(field, rng.normal(120, 20, (5, 90, 100)).clip(0, 255), value).astype(np.uint8)
    found = choose_outside([constant_areas(image) for image in images])
    assert found.value == value
    assert np.allclose(found.circle, (44.3, 50.1, 42.7), atol=0.5)
    mask = outside_mask(images, found, (0, 0, 0))
    assert (mask == ~field).mean() > 0.999


def test_margins_and_corners_are_outside_without_a_circle():
    image = np.random.default_rng(0).normal(120, 20, (80, 90)).astype(np.float32)
    image[:12] = -7.5
    image[60:, :9] = -7.5
    found = choose_outside([constant_areas(image)])
    assert found == Outside(-7.5, None)
    assert np.array_equal(outside_mask(image[None], found, (0, 0, 0))[0], image == -7.5)


def test_nothing_is_outside_in_full_fields():
    rng = np.random.default_rng(0)
    noise = rng.normal(120, 20, (80, 90)).astype(np.uint8)
    assert choose_outside([constant_areas(noise)]) is None
    blobs = ndimage.gaussian_filter(rng.normal(size=(120, 120)), 4)
    saturated = np.clip(rng.normal(10, 8, (120, 120)) + 400 * blobs, 0, 255).astype(np.uint8)
    assert choose_outside([constant_areas(saturated)]) is None, "saturated voxels are everywhere"
    plain = np.where(blobs > 0.02, 2, 0).astype(np.uint8)
    assert choose_outside([constant_areas(plain)]) is None, "an image without noise is constant anywhere"


def test_the_outside_must_be_in_most_slices():
    image = np.random.default_rng(0).normal(120, 20, (80, 90)).astype(np.uint8)
    framed = image.copy()
    framed[:12] = 0
    areas = [constant_areas(image), constant_areas(framed), constant_areas(image)]
    assert choose_outside(areas) is None
    assert choose_outside([areas[1], *areas[:2]]).value == 0


def test_blank_slices_are_outside_unless_the_image_has_no_noise():
    noise = np.random.default_rng(0).normal(120, 20, (6, 40, 50)).astype(np.uint8)
    found = choose_outside([constant_areas(image) for image in noise], [2, 3])
    assert np.isnan(found.value)
    assert found.blank == (2, 3)
    mask = outside_mask(noise[1:5], found, (1, 0, 0))
    assert mask.all(axis=(1, 2)).tolist() == [False, True, True, False]
    assert not mask[[0, 3]].any()
    noise[:, :12] = 7
    framed = choose_outside([constant_areas(image) for image in noise], [2])
    assert framed == Outside(7, None, (2,))
    phases = np.zeros((40, 50), np.uint8)
    phases[10:30, 20:40] = 2
    assert choose_outside([constant_areas(phases)], [2, 3]) is None


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 2**20))
@examples(50)
def test_a_box_with_its_halo_has_the_mask_of_the_whole(top, left, seed):
    rng = np.random.default_rng(seed)
    image = np.where(ndimage.gaussian_filter(rng.normal(size=(1, 44, 44)), 3) > 0, 5, rng.integers(0, 9, (1, 44, 44)))
    whole = outside_mask(image, Outside(5, (20.0, 21.0, 18.0)), (0, 0, 0))
    box = np.s_[:, top : top + 14, left : left + 14]
    y0, x0 = max(top - HALO, 0), max(left - HALO, 0)
    outer = np.s_[:, y0 : top + 14 + HALO, x0 : left + 14 + HALO]
    found = outside_mask(image[outer], Outside(5, (20.0, 21.0, 18.0)), (0, y0, x0))
    assert np.array_equal(found[:, top - y0 :, left - x0 :][:, :14, :14], whole[box])


@given(st.floats(-50, 50), st.floats(-50, 50), st.floats(5, 200), st.floats(1, 6))
@examples(100)
def test_circles_are_fitted_from_arcs(cy, cx, radius, arc):
    angle = np.linspace(0.3, 0.3 + arc, 60)
    points = np.stack([cy + radius * np.sin(angle), cx + radius * np.cos(angle)], axis=1)
    assert np.allclose(fit_circle(points), (cy, cx, radius), atol=1e-4)


def test_what_is_no_circle_is_none():
    t = np.linspace(0, 40, 80)
    assert fit_circle(np.stack([t, np.abs(t - 20)], axis=1)) is None
    assert fit_circle(np.stack([t, 0.001 * t], axis=1)) is None, "a straight edge"
    assert fit_circle(np.zeros((3, 2))) is None
