"""Convex hulls and Feret diameters against shapes that are known, brute force and scipy's hulls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist
from skimage.measure import regionprops

from properties import examples
from shapes import CUBIC, SPACINGS, Mask, Spacing, around, ball, places, turn, turned
from tomostat.measure.shape.hull import convex_hull, feret_diameters


def least_width(hull: ConvexHull) -> float:
    """Smallest distance of two touching planes, by trying all faces and all pairs of edges."""
    corners = hull.points[hull.vertices]
    edges = np.unique(np.sort(np.concatenate([hull.simplices[:, k] for k in ([0, 1], [1, 2], [0, 2])])), axis=0)
    along = hull.points[edges[:, 1]] - hull.points[edges[:, 0]]
    across = np.cross(along[:, None], along[None]).reshape(-1, 3)
    length = np.linalg.norm(across, axis=1)
    normals = np.concatenate([hull.equations[:, :3], across[length > 1e-9] / length[length > 1e-9, None]])
    heights = corners @ normals.T
    return float((heights.max(axis=0) - heights.min(axis=0)).min())


@examples(60)
@given(st.integers(0, 10_000), st.booleans())
def test_feret_diameters_are_those_of_the_hull(seed: int, on_a_grid: bool) -> None:
    """On a grid many faces and edges are parallel."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(5, 40))
    points = rng.integers(0, 4, (count + 15, 3)).astype(float) if on_a_grid else rng.normal(size=(count, 3))
    hull = ConvexHull(points)
    found = feret_diameters(hull)
    assert found.longest == pytest.approx(pdist(points).max(), rel=1e-12)
    assert found.shortest == pytest.approx(least_width(hull), rel=1e-9)
    assert found.shortest <= found.across <= found.longest


def test_the_diameter_at_right_angles() -> None:
    corners = np.array([(z, y, x) for z in (0, 6) for y in (0, 3) for x in (0, 2)], float)
    found = feret_diameters(ConvexHull(corners))
    along = np.array([6.0, 3.0, 2.0]) / 7
    flat = corners - (corners @ along)[:, None] * along
    assert (found.longest, found.shortest) == (pytest.approx(7), pytest.approx(2))
    assert found.across == pytest.approx(pdist(flat).max())


SHAPES = {
    "ball": (4 / 3 * np.pi * 40**3, 80, 80, 80),
    "ellipsoid": (4 / 3 * np.pi * 48 * 32 * 24, 96, 64, 48),
    "rod": (np.pi * 24**2 * 120, np.hypot(120, 48), np.nan, 48),
    "torus": (np.nan, 96, 96, 32),
    "half ball": (2 / 3 * np.pi * 48**3, 96, np.nan, 48),
    "box": (80 * 96 * 120, np.sqrt(80**2 + 96**2 + 120**2), np.nan, 80),
}
"""Volume of the convex hull, and largest, orthogonal and smallest Feret diameter; NaN where they are not compared."""


def drawn(shape: str, spacing: Spacing, frame: NDArray[np.float64]) -> Mask:
    """One of `SHAPES`, turned."""
    u, v, w = turned(around(SHAPES[shape][1] / 2, spacing, margin=2), frame, spacing)
    ring = np.sqrt(v**2 + w**2)
    inside = {
        "ball": u**2 + ring**2 <= 40**2,
        "ellipsoid": (u / 48) ** 2 + (v / 32) ** 2 + (w / 24) ** 2 <= 1,
        "rod": (abs(u) <= 60) & (ring <= 24),
        "torus": u**2 + (ring - 32) ** 2 <= 16**2,
        "half ball": (u**2 + ring**2 <= 48**2) & (u <= 0),
        "box": (abs(u) <= 40) & (abs(v) <= 48) & (abs(w) <= 60),
    }
    return inside[shape].astype(np.uint8)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_within_one_percent(shape: str, spacing: Spacing) -> None:
    """Turned, so that nothing is along the grid; coarse voxels have their own share in the error."""
    hull = convex_hull(drawn(shape, spacing, turn(3)), spacing)
    diameters = feret_diameters(hull)
    found = np.array([hull.volume, diameters.longest, diameters.across, diameters.shortest])
    expected = np.array(SHAPES[shape])
    known = np.isfinite(expected)
    bound = np.array([0.02, 0.01, 0.01, 0.01]) * max(spacing)
    assert (abs(found / expected - 1) <= bound)[known].all(), found / expected


def test_a_box_along_the_grid() -> None:
    mask = np.zeros((84, 100, 124), np.uint8)
    mask[2:-2, 2:-2, 2:-2] = 1
    hull = convex_hull(mask, CUBIC)
    assert hull.volume == pytest.approx(80 * 96 * 120, rel=0.005)
    assert feret_diameters(hull).shortest == pytest.approx(80, rel=1e-6)
    assert feret_diameters(hull).longest == pytest.approx(np.sqrt(80**2 + 96**2 + 120**2), rel=0.011)


def test_beside_scikit_image() -> None:
    """Its hull goes through the middles of voxel faces, half a voxel outside the outermost centres."""
    mask = ball(20)
    region = regionprops(mask)[0]
    hull = convex_hull(mask, CUBIC)
    assert feret_diameters(hull).longest == pytest.approx(region.feret_diameter_max, abs=1.5)
    assert hull.volume == pytest.approx(region.area_convex, rel=0.06)


def test_all_points_give_little_more() -> None:
    """The hull of all surface points beside that of the outermost of every cell of directions."""
    mask = ball(40)
    voxels = np.argwhere(mask).astype(float)
    whole, found = ConvexHull(voxels), convex_hull(mask, CUBIC)
    assert found.volume >= whole.volume
    assert feret_diameters(found).longest >= feret_diameters(whole).longest - 0.05


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 1, 1), (1, np.sqrt(3), 1)),
        ((1, 1, 40), (40, np.sqrt(1602), 1)),
        ((1, 12, 10), (120, np.sqrt(245), 1)),
    ],
)
def test_a_voxel_a_line_and_a_plane_are_bricks(shape: tuple[int, int, int], expected: tuple[float, ...]) -> None:
    hull = convex_hull(np.pad(np.ones(shape, np.uint8), 1), CUBIC)
    found = feret_diameters(hull)
    np.testing.assert_allclose((hull.volume, found.longest, found.shortest), expected, rtol=1e-9)


def test_thin_shapes_keep_their_ends() -> None:
    """Smoothing takes a tenth off a needle of so few voxels across, but nothing off its length."""
    z, y, x = places((11, 11, 300))
    needle = ((z**2 + y**2 <= 4**2) & (abs(x) <= 140)).astype(np.uint8)
    hull = convex_hull(needle, CUBIC)
    assert hull.volume == pytest.approx(needle.sum(), rel=0.1)
    assert feret_diameters(hull).longest == pytest.approx(np.hypot(280, 8), rel=0.01)
