"""Sums over blocks: the same for any blocks, and the same as independent libraries'."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import regionprops

from properties import examples
from tomostat.blocks import block_grid
from tomostat.measure.shape.moments import (
    BORDER,
    COUNT,
    FACE_KINDS,
    FACES,
    GREY_COUNT,
    LARGEST,
    OTHER,
    FixedPoint,
    block_moments,
    centroids,
    covariances,
    grey_statistics,
    merge_moments,
)


def scene(seed: int = 0, shape: tuple[int, int, int] = (19, 23, 30)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Blobs with labels that skip numbers, noisy grey values, phases."""
    rng = np.random.default_rng(seed)
    blobs, count = ndimage.label(ndimage.gaussian_filter(rng.normal(size=shape), 2) > 0.03)
    numbers = np.concatenate([[0], np.sort(rng.choice(2**32 - 1, count, replace=False)) + 1]).astype(np.uint32)
    labels = numbers[blobs]
    labels[rng.random(shape) < 0.02] = numbers[1]
    grey = rng.normal(100, 20, shape).astype(np.float32)
    phases = rng.integers(0, 5, shape).astype(np.uint8)
    phases[labels > 0] = np.where(rng.random((labels > 0).sum()) < 0.9, 2, 0)
    return labels, grey, phases


@examples(6)
@given(st.integers(0, 1000), st.tuples(*[st.integers(3, 30)] * 3))
def test_any_blocks_give_the_same_bits(seed: int, core: tuple[int, int, int]) -> None:
    labels, grey, phases = scene(seed)
    fixed = FixedPoint.of_range(20, 180)
    whole = block_moments(labels, grey, phases, fixed=fixed)
    parts = []
    for block in block_grid(labels.shape, core, (1, 1, 1)):
        cut = (labels[block.outer], grey[block.outer], phases[block.outer])
        origin = [s.start for s in block.outer]
        parts.append(block_moments(*cut, origin=origin, core=block.inner, fixed=fixed))
    merged = merge_moments(parts[::-1])
    for name in ("label", "sums", "low", "high"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (1.0, 1.3, 0.7)])
def test_against_regionprops(spacing: tuple[float, float, float]) -> None:
    labels, grey, _ = scene(3)
    _, dense = np.unique(labels, return_inverse=True)
    found = block_moments(labels, grey, fixed=FixedPoint.of_range(0, 200))
    mean, spread = grey_statistics(found, FixedPoint.of_range(0, 200))
    middle, spread_of = centroids(found, spacing), covariances(found, spacing)
    for i, region in enumerate(regionprops(dense.reshape(labels.shape), grey, spacing=spacing)):
        assert found.sums[i, COUNT] == region.num_pixels
        box = tuple(int(v) for v in (*found.low[i], *found.high[i]))
        assert box == region.bbox
        np.testing.assert_allclose(middle[i], region.centroid, rtol=1e-12)
        mu = region.moments_central
        second = np.array([[mu[2, 0, 0], mu[1, 1, 0], mu[1, 0, 1]], [0, mu[0, 2, 0], mu[0, 1, 1]], [0, 0, mu[0, 0, 2]]])
        expected = (second + np.triu(second, 1).T) / mu[0, 0, 0] + np.diag(np.square(spacing)) / 12
        np.testing.assert_allclose(spread_of[i], expected, rtol=1e-9, atol=1e-9)
        assert mean[i] == pytest.approx(region.intensity_mean, abs=1e-3)
        assert spread[i] == pytest.approx(region.intensity_std, abs=1e-3)


def test_far_from_the_origin() -> None:
    labels = np.ones((4, 5, 6), np.uint32)
    near = block_moments(labels, np.zeros(labels.shape, np.float32))
    far = block_moments(labels, np.zeros(labels.shape, np.float32), origin=(30_000, 20_000, 32_000))
    np.testing.assert_array_equal(covariances(near, (1, 1, 1)), covariances(far, (1, 1, 1)))
    np.testing.assert_array_equal(
        centroids(far, (1, 1, 1))[0] - centroids(near, (1, 1, 1))[0], [30_000, 20_000, 32_000]
    )


def test_faces_by_what_lies_behind() -> None:
    labels, grey, phases = scene(5)
    found = block_moments(labels, grey, phases)
    for i, label in enumerate(found.label):
        faces = found.sums[i, FACES:].reshape(3, FACE_KINDS)
        own = labels == label
        for axis in range(3):
            expected = np.zeros(FACE_KINDS, int)
            for side in (1, -1):
                there = np.roll(own, side, axis)
                edge = 0 if side == 1 else -1
                index = [slice(None)] * 3
                index[axis] = edge
                expected[BORDER] += own[tuple(index)].sum()
                there[tuple(index)] = False
                behind = there & ~own
                expected[OTHER] += (behind & (labels > 0)).sum()
                expected[:5] += np.bincount(phases[behind & (labels == 0)], minlength=5)
            np.testing.assert_array_equal(faces[axis], expected)


def test_only_active_voxels_with_a_value_count_for_the_grey() -> None:
    labels, grey, phases = scene(6)
    grey[labels > 0] = np.where(np.arange((labels > 0).sum()) % 7 == 0, np.nan, grey[labels > 0])
    found = block_moments(labels, grey, phases, fixed=FixedPoint.of_range(0, 200))
    mean, _ = grey_statistics(found, FixedPoint.of_range(0, 200))
    for i, label in enumerate(found.label):
        own = labels == label
        seen = grey[own & (phases == 2)]
        assert found.sums[i, GREY_COUNT] == np.isfinite(seen).sum()
        if np.isfinite(seen).any():
            assert mean[i] == pytest.approx(np.nanmean(seen), abs=4e-3)


def test_integers_are_exact() -> None:
    labels = np.ones((3, 3, 3), np.uint32)
    grey = np.full((3, 3, 3), 65535, np.uint16)
    assert grey_statistics(block_moments(labels, grey))[0].tolist() == [65535.0]


def test_many_labels() -> None:
    labels = np.arange(1, 20_001, dtype=np.uint32).reshape(20, 20, 50)[:, ::-1]
    found = block_moments(np.ascontiguousarray(labels), labels.astype(np.float32))
    np.testing.assert_array_equal(found.label, np.arange(1, 20_001))
    assert (found.sums[:, COUNT] == 1).all()


def test_nothing() -> None:
    empty = block_moments(np.zeros((2, 2, 2), np.uint32), np.zeros((2, 2, 2), np.float32))
    assert len(empty) == len(merge_moments([empty])) == len(merge_moments([])) == 0
    assert centroids(empty, (1, 1, 1)).shape == (0, 3)


def test_bad_input() -> None:
    labels, grey = np.ones((2, 2, 2), np.uint32), np.ones((2, 2, 2), np.float32)
    with pytest.raises(ValueError, match="shapes"):
        block_moments(labels, grey[:1])
    with pytest.raises(ValueError, match="code 7"):
        block_moments(labels, grey, np.full((2, 2, 2), 7, np.uint8))
    with pytest.raises(ValueError, match="exact up to"):
        block_moments(labels, grey, origin=(LARGEST, 0, 0))
