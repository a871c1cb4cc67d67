"""Detections checked against the active material under them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import examples
from tomostat.detect.kernels.material import MIN_SHARE, follow_material

SHAPE = (200, 200)
HEAP = 7
"""Label of the detection that may be a heap, beside six others of radius 9."""


def disc(y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def slice_of_discs(radius: float = 9, others: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Detections and active material of some discs in a row at the top."""
    labels = np.zeros(SHAPE, np.int32)
    for k in range(others):
        labels[disc(20, 20 + 30 * k, radius)] = k + 1
    return labels, labels > 0


def packed() -> list[np.ndarray]:
    """Nine discs of radius 9, in three rows."""
    return [disc(y, x, 9) for y, x in product((77, 99, 121), (77, 99, 121))]


def cracked(radius: float, cracks: int, width: float) -> np.ndarray:
    """A disc cut by cracks through its middle."""
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    angles = np.pi * np.arange(cracks) / cracks + 0.2
    open_ = [abs((rows - 110) * np.cos(a) - (columns - 100) * np.sin(a)) <= width / 2 for a in angles]
    return disc(110, 100, radius) & ~np.any(open_, axis=0)


def test_a_heap_is_split_into_its_particles():
    labels, active = slice_of_discs()
    labels[68:131, 68:131] = HEAP
    active |= np.any(packed(), axis=0)
    found, source = follow_material(labels, active)
    assert source.tolist() == [0, *range(1, 7), *[HEAP] * 9]
    assert all(np.array_equal(found == k, labels == k) for k in range(1, 7)), "the others keep their pixels"
    for grain in packed():
        (label,) = set(found[grain & (found > 0)])
        assert np.count_nonzero((found == label) ^ grain) <= 0.02 * np.count_nonzero(grain)
    assert not (found[68:131, 68:131] > 0)[~active[68:131, 68:131]].any(), "pores between them belong to none"


def test_particles_of_a_heap_do_not_end_at_its_outline():
    """The outline leaves a quarter of the last column outside."""
    labels, active = slice_of_discs()
    labels[68:131, 68:126] = HEAP
    active |= np.any(packed(), axis=0) | disc(88, 61, 9)
    found, source = follow_material(labels, active)
    assert np.count_nonzero(source == HEAP) == 9
    for grain in packed():
        assert np.count_nonzero(found[grain]) >= 0.98 * np.count_nonzero(grain)
    assert not found[disc(88, 61, 6)].any(), "most of it lies beyond the outline"


@pytest.mark.parametrize("radius", [10, 14, 20, 30, 45])
@pytest.mark.parametrize(("cracks", "width"), [(1, 5), (2, 4), (3, 3), (4, 2)])
def test_a_cracked_particle_stays_one(radius: float, cracks: int, width: float):
    labels, active = slice_of_discs()
    labels[disc(110, 100, radius)] = HEAP
    found, source = follow_material(labels, active | cracked(radius, cracks, width))
    assert np.array_equal(found, labels)
    assert source.tolist() == list(range(8))


def test_a_broken_particle_as_large_as_the_others_stays_one():
    """Wide pores lie between its pieces, but it is the whole that has the size of the other particles."""
    labels, active = slice_of_discs(radius=13)
    labels[disc(110, 100, 14)] = HEAP
    active |= disc(110, 100, 14) & (disc(102, 100, 5.5) | disc(115, 93, 5.5) | disc(115, 107, 5.5))
    found, _ = follow_material(labels, active)
    assert np.array_equal(found, labels)


def test_nothing_is_split_where_the_size_of_particles_is_unknown():
    labels, active = slice_of_discs(others=4)
    labels[68:131, 68:131] = 5
    found, source = follow_material(labels, active | np.any(packed(), axis=0))
    assert np.array_equal(found, labels)
    assert source.tolist() == list(range(6))


def test_slices_without_detections_or_material():
    nothing = np.zeros((30, 20), np.int32)
    found, source = follow_material(nothing, np.ones((30, 20), bool))
    assert not found.any()
    assert source.tolist() == [0]
    found, source = follow_material(slice_of_discs()[0], np.zeros(SHAPE, bool))
    assert not found.any()
    assert source.tolist() == [0]


@examples(60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.floats(0, 1))
def test_against_brute_force(seed: int, ny: int, nx: int, share: float) -> None:
    """Detections in pieces, of any size and number; those without material are gone, those not split are unchanged."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 12, (-(-ny // 8), -(-nx // 8))).astype(np.int32)
    labels = np.kron(cells, np.ones((8, 8), np.int32))[:ny, :nx]
    active = rng.random((ny, nx)) < share * rng.random((ny, nx)) ** 2
    found, source = follow_material(labels, active)
    assert np.array_equal(np.unique(found[found > 0]), np.arange(1, len(source)))
    for label in np.unique(labels[labels > 0]):
        own, parts = labels == label, np.flatnonzero(source == label)
        if active[own].sum() < MIN_SHARE * own.sum():
            assert not len(parts)
        elif len(parts) == 1:
            assert np.array_equal(found == parts[0], own)
        else:
            assert set(labels[np.isin(found, parts)]) <= {0, label}
