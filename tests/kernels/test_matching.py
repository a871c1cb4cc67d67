"""Overlap tables against a count of pixels, assignments against the full Hungarian method."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.optimize import linear_sum_assignment

from properties import examples
from tomostat.instances import Instances
from tomostat.kernels.matching import Overlaps, assign, overlaps_of_labels, overlaps_of_runs

images = npst.arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 4))


def counted(a: np.ndarray, b: np.ndarray) -> dict[tuple[int, int], int]:
    """Overlaps of two label images, one pixel at a time."""
    found: dict[tuple[int, int], int] = {}
    for pair in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True):
        if pair[0] and pair[1]:
            found[pair] = found.get(pair, 0) + 1
    return found


def as_dict(table: Overlaps) -> dict[tuple[int, int], int]:
    first, second = table.first_label[table.first], table.second_label[table.second]
    return dict(zip(zip(first.tolist(), second.tolist(), strict=True), table.overlap.tolist(), strict=True))


@examples(100)
@given(st.data())
def test_overlaps_of_labels_count_pixels(data: st.DataObject) -> None:
    a = data.draw(images)
    b = data.draw(npst.arrays(np.uint16, a.shape, elements=st.integers(0, 5)))
    table = overlaps_of_labels(a, b)
    assert as_dict(table) == counted(a, b)
    assert dict(zip(table.first_label.tolist(), table.first_size.tolist(), strict=True)) == {
        label: int((a == label).sum()) for label in np.unique(a) if label
    }
    assert table.second_size.sum() == np.count_nonzero(b)


@examples(100)
@given(st.data())
def test_overlaps_of_runs_equal_those_of_labels(data: st.DataObject) -> None:
    a = data.draw(images)
    b = data.draw(npst.arrays(np.int32, a.shape, elements=st.integers(0, 4)))
    first, second = Instances.from_labels(a, 0), Instances.from_labels(b, 0)
    runs = overlaps_of_runs(*((s.offset, s.run_start, s.run_length) for s in (first, second)))
    dense = overlaps_of_labels(first.labels(0), second.labels(0))
    for name in ("first", "second", "overlap", "first_size", "second_size"):
        np.testing.assert_array_equal(getattr(runs, name), getattr(dense, name))


def test_labels_may_be_huge() -> None:
    a = np.array([[0, 4_000_000_000, 4_000_000_000, 7]], np.uint32)
    table = overlaps_of_labels(a, a)
    assert as_dict(table) == {(7, 7): 1, (4_000_000_000, 4_000_000_000): 2}


def test_many_partners_of_one_label() -> None:
    a = np.ones((60, 60), np.int32)
    b = np.arange(1, 3601, dtype=np.int32).reshape(60, 60)
    assert as_dict(overlaps_of_labels(a, b)) == {(1, int(label)): 1 for label in b.ravel()}


def test_iou_and_containment_of_nested_squares() -> None:
    a, b = np.zeros((10, 10), int), np.zeros((10, 10), int)
    a[:8, :8] = 1
    b[2:6, 2:6] = 1
    table = overlaps_of_labels(a, b)
    assert table.iou.tolist() == [16 / 64]
    assert table.containment.tolist() == [1.0]


weights = npst.arrays(
    np.float64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 6).map(float)
)


def pairs_of(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, second = np.nonzero(matrix)
    return first, second, matrix[first, second]


@examples(300)
@given(weights)
def test_assignment_is_best_and_one_to_one(matrix: np.ndarray) -> None:
    first, second, weight = pairs_of(matrix)
    chosen = assign(first, second, weight, matrix.shape)
    assert len(set(first[chosen])) == len(set(second[chosen])) == len(chosen)
    assert weight[chosen].sum() == pytest.approx(matrix[linear_sum_assignment(matrix, maximize=True)].sum())


@examples(100)
@given(weights, st.integers(1, 5))
def test_components_do_not_influence_each_other(matrix: np.ndarray, gap: int) -> None:
    """The choice inside a component is the same alone and beside a copy of itself."""
    alone = assign(*pairs_of(matrix), matrix.shape)
    n, m = matrix.shape
    twice = np.zeros((2 * n + gap, 2 * m + gap))
    twice[:n, :m] = twice[n + gap :, m + gap :] = matrix
    pairs = np.count_nonzero(matrix)
    both = assign(*pairs_of(twice), twice.shape)
    np.testing.assert_array_equal(both, np.concatenate([alone, alone + pairs]))


def test_of_equal_weights_the_first_pair_is_taken() -> None:
    for n, m in itertools.product(range(1, 4), repeat=2):
        first, second, weight = pairs_of(np.ones((n, m)))
        chosen = assign(first, second, weight, (n, m))
        assert 0 in chosen
        assert len(chosen) == min(n, m)


def test_weights_of_zero_are_never_taken() -> None:
    assert assign(np.array([0, 1]), np.array([0, 1]), np.array([0.0, -1.0]), (2, 2)).size == 0


def test_nothing_overlaps_nothing() -> None:
    empty = np.zeros((3, 3), np.uint8)
    table = overlaps_of_labels(empty, np.ones((3, 3), np.uint8))
    assert table.overlap.size == 0
    assert table.second_size.tolist() == [9]
    assert table.assign().size == 0


@pytest.mark.parametrize(
    ("a", "b", "error", "words"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), ValueError, "shapes"),
        (np.full((2, 2), -1), np.zeros((2, 2), int), ValueError, "-1"),
        (np.zeros((2, 2)), np.zeros((2, 2), int), TypeError, "float64"),
    ],
)
def test_bad_input_is_refused(a: np.ndarray, b: np.ndarray, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        overlaps_of_labels(a, b)
