"""What views agree on, against brute force and in small cases."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stitching import stacks
from tomostat.stitch.kernels.consensus import (
    Agreed,
    ViewOverlaps,
    ViewParticles,
    agree,
    agreement,
    count_pairs,
    majority,
    number_groups,
)


def as_views(
    images: list[np.ndarray], confidence: list[float] | None = None, by_hand: tuple[int, ...] = ()
) -> tuple[ViewParticles, ViewOverlaps]:
    """Particles 1, 2, ... of label images, view by view, and their overlaps."""
    counts = [int(image.max(initial=0)) for image in images]
    begin = np.cumsum([0, *counts])
    size = np.concatenate(
        [np.bincount(image.ravel(), minlength=n + 1)[1:] for image, n in zip(images, counts, strict=True)]
    )
    hand = np.isin(np.arange(begin[-1]), by_hand)
    sure = np.linspace(0.9, 0.1, begin[-1]) if confidence is None else np.array(confidence)
    found = ViewParticles(len(images), np.repeat(np.arange(len(images)), counts), size, sure, hand)
    rows = []
    for a, b in combinations(range(len(images)), 2):
        first, second, voxels = count_pairs(images[a], images[b])
        shared = (first > 0) & (second > 0)
        rows.append(np.stack([first + begin[a] - 1, second + begin[b] - 1, voxels])[:, shared])
    return found, ViewOverlaps(*np.concatenate(rows, axis=1))


@given(stacks((0, 1, 2, 3, 5)), stacks((0, 1, 2, 4)))
def test_pairs_and_agreement_against_brute_force(one, other):
    shape = [min(a, b) for a, b in zip(one.shape, other.shape, strict=True)]
    one, other = (image[: shape[0], : shape[1], : shape[2]] for image in (one, other))
    first, second, voxels = count_pairs(one, other)
    found = {(a, b): n for a, b, n in zip(first.tolist(), second.tolist(), voxels.tolist(), strict=True)}
    pairs = {(a, b): int(((one == a) & (other == b)).sum()) for a in range(6) for b in range(5)}
    assert found == {pair: n for pair, n in pairs.items() if n and pair != (0, 0)}

    particles, overlaps = as_views([one, other])
    best = []
    for mine, theirs in ((one, other), (other, one)):
        for label in range(1, mine.max(initial=0) + 1):
            own = mine == label
            ious = [(own & (theirs == k)).sum() / max((own | (theirs == k)).sum(), 1) for k in range(1, 6)]
            best.append(max(ious))
    np.testing.assert_allclose(agreement(particles, overlaps), best)


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_voxels_by_majority_against_brute_force(seed: int, three: bool) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, (3 if three else 2, 2, 3, 4)).astype(np.uint32)
    by_hand = np.unique(rng.integers(1, 4, rng.integers(0, 3))).astype(np.uint32)
    found = majority(labels, by_hand)
    for place in np.ndindex(labels.shape[1:]):
        votes = labels[(slice(None), *place)].tolist()
        known = [label for label in votes if label]  # that of z first
        expected = next((k for k in known if 2 * votes.count(k) >= len(votes)), 0)
        if not expected and len(set(known)) == 1:
            expected = known[0]
        between = votes[0] in by_hand and expected in by_hand
        assert found[place] == (votes[0] if between else expected)


def row(*parts: tuple[int, int]) -> np.ndarray:
    """A line of labels, each so many voxels long."""
    return np.concatenate([np.full(length, label) for label, length in parts])


def test_the_same_particles_are_one_whatever_their_numbers() -> None:
    a, b = row((1, 10), (0, 3), (2, 10)), row((2, 10), (0, 3), (1, 10))
    assert agree(*as_views([a, b, a])).tolist() == [0, 1, 1, 0, 0, 1]


def test_pieces_follow_what_the_other_views_see_whole() -> None:
    whole, cut = row((1, 20)), row((1, 12), (2, 8))
    assert agree(*as_views([cut, whole, whole])).tolist() == [0, 0, 0, 0]
    assert agree(*as_views([whole, cut, whole])).tolist() == [0, 0, 0, 0]


def test_two_that_one_view_fuses_stay_two() -> None:
    two, fused = row((1, 12), (2, 11)), row((1, 23))
    assert agree(*as_views([fused, two, two])).tolist() == [0, 0, 2, 0, 2]
    voxels = np.array([fused, two, two], np.uint32)
    assert majority(voxels, np.zeros(0, np.uint32)).tolist() == two.tolist()


def test_what_one_view_alone_sees_stays_and_the_surest_comes_first() -> None:
    none, some = row((0, 20)), row((1, 20))
    assert agree(*as_views([none, some, none])).tolist() == [0]
    large, beside = row((1, 30), (0, 20)), row((0, 27), (1, 20), (0, 3))  # neither has much of the other
    assert agree(*as_views([large, beside])).tolist() == [0, 1]
    half = row((0, 22), (1, 18), (0, 10))  # neither has most of the other
    assert agree(*as_views([large, half])).tolist() == [0, -1]
    long, short = row((1, 30), (0, 10)), row((0, 26), (1, 6), (0, 8))  # most of the short one lies in the long one
    empty = row((0, 40))
    assert agree(*as_views([long, short, empty], [0.9, 0.2])).tolist() == [0, -1]
    assert agree(*as_views([long, short, empty], [0.2, 0.9])).tolist() == [0, 1]


def test_a_person_outvotes_the_views() -> None:
    cut, whole = row((1, 12), (2, 8)), row((1, 20))
    found = agree(*as_views([cut, whole, whole], by_hand=(0, 1)))
    assert found.tolist() == [0, 1, -1, -1]
    piece = row((1, 17), (2, 3))
    assert agree(*as_views([piece, whole, whole], by_hand=(0, 1))).tolist() == [0, 1, 0, 0]
    voxels = np.array([piece, whole, whole], np.uint32)
    assert majority(voxels, np.array([1, 2], np.uint32)).tolist() == piece.tolist()
    joined, two = row((1, 20)), row((1, 12), (2, 8))
    assert agree(*as_views([joined, two, two], by_hand=(0,))).tolist() == [0, 0, 0, 0, 0]


def test_views_without_a_particle_count() -> None:
    cut, whole, none = row((1, 12), (2, 8)), row((1, 20)), row((0, 20))
    expected = agree(*as_views([cut, whole, none]))
    assert expected.tolist() == [0, -1, 0]
    far = [row((0, 30), (1, 5)), [np.concatenate([image, row((0, 15))]) for image in (cut, whole)]]
    assert agree(*as_views([*far[1], far[0]])).tolist() == [0, -1, 0, 3]
    assert agreement(*as_views([whole, whole, none])).tolist() == [0.5, 0.5]


def test_numbers_stay_where_nothing_changes() -> None:
    before = Agreed(np.array([10, 11, 12, 20, 21, 22]), np.array([0, 1, 2, 0, 1, -1]))
    assert number_groups(before).tolist() == [1, 2, 3, 1, 2, 0]
    after = Agreed(np.array([10, 11, 13, 12, 20, 22]), np.array([0, 1, 1, 3, 4, 0]))
    assert number_groups(after, before).tolist() == [1, 2, 2, 3, 4, 1]


@pytest.mark.parametrize("views", [2, 3])
def test_nothing_seen(views: int) -> None:
    empty = [np.zeros((2, 2, 2), np.int64)] * views
    assert len(agree(*as_views(empty))) == 0
    assert len(number_groups(Agreed(np.zeros(0, np.int64), np.zeros(0, np.int64)))) == 0
