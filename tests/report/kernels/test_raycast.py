"""Rays through label volumes."""

from __future__ import annotations

import numpy as np
import pytest

from tomostat.report.kernels import raycast


def test_rays_see_a_ball_as_a_disc() -> None:
    """Area on screen, depth and normals of a ball, for unequal voxels."""
    spacing, radius = (0.5, 0.4, 0.3), 4.0
    shape = tuple(int(12 / s) for s in spacing)
    grid = np.indices(shape) * np.array(spacing)[:, None, None, None]
    labels = (((grid - 6.0) ** 2).sum(axis=0) < radius**2).astype(np.uint32)
    picture, extent = raycast.render(labels, spacing, np.array([[0, 0, 0], [1.0, 0.5, 0.2]]), 300)
    pixel = (extent[1] - extent[0]) / 300
    assert picture[..., 3].sum() * pixel**2 == pytest.approx(np.pi * radius**2, rel=0.02)
    rows, columns = np.nonzero(picture[..., 3])
    up, right, _ = raycast.project(np.full(3, 6.0))
    assert extent[0] + (columns.mean() + 0.5) * pixel == pytest.approx(right, abs=0.1)
    assert extent[3] - (rows.mean() + 0.5) * pixel == pytest.approx(up, abs=0.1)
    assert picture.min() >= 0
    assert picture.max() <= 1


def test_nearer_ball_hides_the_other() -> None:
    labels = np.zeros((20, 20, 20), np.uint32)
    towards = raycast.view()[2]
    grid = np.indices(labels.shape)
    for label, place in ((1, 10 - 5 * towards), (2, 10 + 5 * towards)):
        labels[((grid - place[:, None, None, None]) ** 2).sum(axis=0) < 9] = label
    picture, _ = raycast.render(labels, (1.0, 1.0, 1.0), np.array([[0.0] * 3, [1, 0, 0], [0, 1, 0]]), 200)
    seen = picture[picture[..., 3] > 0]
    assert (seen[:, 1] > seen[:, 0]).mean() > 0.95


def test_empty_scene_is_transparent() -> None:
    picture, _ = raycast.render(np.zeros((4, 5, 6), np.uint32), (1.0, 1.0, 1.0), np.zeros((1, 3)), 50)
    assert not picture[..., 3].any()
