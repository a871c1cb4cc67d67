"""Area, normals and points of surfaces against shapes that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import ndimage

from properties import examples
from shapes import CUBIC, SPACINGS, Spacing, around, ball, places, slotted, turn, turned
from tomostat.measure.shape.surface import extract_surface


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(("radius", "bound"), [(10, 0.015), (20, 0.005), (40, 0.005)])
def test_area_of_balls(radius: int, bound: float, spacing: Spacing) -> None:
    area = [extract_surface(ball(radius, spacing, seed), spacing).total for seed in range(3)]
    np.testing.assert_allclose(area, 4 * np.pi * radius**2, rtol=bound)


@pytest.mark.parametrize("seed", range(3))
def test_area_of_spheroids(seed: int) -> None:
    a, c = 20.0, 40.0
    u, v, w = turned(around(c), turn(seed))
    mask = ((u / c) ** 2 + (v / a) ** 2 + (w / a) ** 2 <= 1).astype(np.uint8)
    eccentricity = np.sqrt(1 - (a / c) ** 2)
    true = 2 * np.pi * a * (a + c / eccentricity * np.arcsin(eccentricity))
    assert extract_surface(mask, CUBIC).total == pytest.approx(true, rel=0.005)


@pytest.mark.parametrize("seed", range(4))
def test_area_of_tilted_boxes(seed: int) -> None:
    half = np.array([20.0, 24.0, 30.0])
    u, v, w = turned(around(float(np.linalg.norm(half))), turn(seed))
    mask = ((abs(u) <= half[0]) & (abs(v) <= half[1]) & (abs(w) <= half[2])).astype(np.uint8)
    true = 8 * (half[0] * half[1] + half[1] * half[2] + half[0] * half[2])
    assert extract_surface(mask, CUBIC).total == pytest.approx(true, rel=0.005)


@examples(15)
@example(529, (2.0, 1.0, 1.0))
@given(st.integers(0, 10_000), st.sampled_from(SPACINGS))
def test_planes_at_any_tilt(seed: int, spacing: Spacing) -> None:
    """A slab's face around an axis along its normal, weighted down to nothing so that no point lies on a rim."""
    frame, radius = turn(seed), 28.0
    shape = tuple(int(70 / s) for s in spacing)
    u, _, _ = turned(shape, frame, spacing)
    surface = extract_surface(np.broadcast_to(u <= 0.37, shape).astype(np.uint8), spacing)
    place = (surface.point - (np.array(shape) - 1) / 2 * spacing) @ frame.T
    far = (place[:, 1] ** 2 + place[:, 2] ** 2) / radius**2
    inner = (far < 1) & (abs(place[:, 0]) < 5)
    area = (surface.area[inner] * (1 - far[inner]) ** 2).sum()
    assert area == pytest.approx(np.pi * radius**2 / 3, rel=0.01)
    cosine = surface.normal[inner] @ frame[0]
    assert cosine.mean() > 0.99
    assert np.quantile(cosine, 0.01) > 0.9
    np.testing.assert_allclose(place[inner, 0], 0.37, atol=0.6 * max(spacing))


@pytest.mark.parametrize("width", [1.5, 2.0, 4.0])
@pytest.mark.parametrize("normal", [(1, 0, 0), (1, 1, 1), (0.7, 0.5, 0.2)])
def test_area_of_slotted_balls(width: float, normal: tuple[float, float, float]) -> None:
    mask, true, _, _ = slotted(40, width, np.array(normal, float))
    assert extract_surface(mask, CUBIC).total == pytest.approx(true, rel=0.02)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_area_of_caps(share: float, seed: int) -> None:
    surface = extract_surface(ball(40, seed=seed), CUBIC)
    out = surface.point - surface.point.mean(axis=0)
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    cap = out @ turn(seed)[0] > 1 - 2 * share
    assert surface.area[cap].sum() / surface.total == pytest.approx(share, abs=0.007)


def test_cut_faces_are_no_surface() -> None:
    mask = ball(20)[29:]
    surface = extract_surface(mask, CUBIC)
    centre = np.array(ndimage.center_of_mass(ball(20)))[0] - 28.5
    true = 2 * np.pi * 20 * (20 + centre)
    assert surface.total == pytest.approx(true, rel=0.01)
    assert surface.cut.sum() == mask[0].sum()


def test_field_of_view_cuts_too() -> None:
    mask = ball(20)
    outside = np.zeros(mask.shape, bool)
    outside[:, :, 29:] = True
    surface = extract_surface(np.where(outside, 0, mask).astype(np.uint8), CUBIC, outside=outside)
    assert surface.cut.sum() == pytest.approx((mask[:, :, 28] & mask[:, :, 29]).sum(), rel=0.08)
    assert surface.total < 0.6 * 4 * np.pi * 20**2


def test_contour_of_a_section() -> None:
    mask = ball(30)[39:40]
    surface = extract_surface(mask, (2.0, 1.0, 1.0))
    radius = np.sqrt(mask.sum() / np.pi)
    assert surface.total == pytest.approx(2 * np.pi * radius * 2.0, rel=0.01)
    assert surface.cut.sum() == 0
    assert abs(surface.normal[:, 0]).max() < 1e-6


def test_single_voxel_and_sheet() -> None:
    voxel = np.zeros((5, 5, 5), np.uint8)
    voxel[2, 2, 2] = 1
    surface = extract_surface(voxel, CUBIC)
    assert len(surface) == 1
    assert np.isfinite(surface.point).all()
    assert 0 < surface.total <= 6
    sheet = np.zeros((9, 40, 40), np.uint8)
    sheet[4, 5:-5, 5:-5] = 1
    surface = extract_surface(sheet, CUBIC)
    inner = ((surface.voxel[:, 1:] > 9) & (surface.voxel[:, 1:] < 30)).all(axis=1)
    np.testing.assert_allclose(surface.area[inner], 2, rtol=0.02)


def test_points_lie_on_the_sphere() -> None:
    mask = ball(25)
    surface = extract_surface(mask, CUBIC)
    distance = np.linalg.norm(surface.point - ndimage.center_of_mass(mask), axis=1)
    assert abs(distance - 25).mean() < 0.12
    assert abs(distance - 25).max() < 0.6
    assert places((2, 2, 2))[0].size == 2
