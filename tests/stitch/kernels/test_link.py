"""Links between slices: against a count of pixels, and the same however the slices are cut into blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import examples
from stitching import OPTIONS, disk, instances_of, stacks
from tomostat.instances import Instances
from tomostat.stitch.kernels.link import NO_INSTANCE, InstanceLinks, concatenate_links, link_slices, widest_gap
from tomostat.stitch.options import StitchOptions

STACKS = stacks([0, 0, 1, 2, 3], depth=8)


def equal(a: InstanceLinks, b: InstanceLinks) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in vars(a))


@examples(60)
@given(STACKS, st.integers(1, 4))
def test_links_are_the_same_for_any_block_of_slices(stack: np.ndarray, step: int) -> None:
    instances = instances_of(stack)
    whole = link_slices(instances, range(len(stack)), OPTIONS)
    parts = []
    for z in range(0, len(stack), step):
        near = (instances.slice >= z) & (instances.slice < z + step + widest_gap(OPTIONS) + 1)
        parts.append(link_slices(instances.take(near), range(z, min(z + step, len(stack))), OPTIONS))
    assert equal(whole, concatenate_links(parts))


@examples(60)
@given(STACKS)
def test_evidence_equals_a_count_of_pixels(stack: np.ndarray) -> None:
    instances = instances_of(stack)
    links = link_slices(instances, range(len(stack)), OPTIONS)
    images = {z: instances.labels(z) for z in range(len(stack))}
    for i in range(len(links)):
        (z, a), (far, b) = ((int(v) >> 32, int(v) & 0xFFFFFFFF) for v in (links.first[i], links.second[i]))
        first, second = images[z] == a + 1, images[far] == b + 1
        assert links.gap[i] == far - z - 1
        assert links.overlap[i] == (first & second).sum()
        assert links.iou[i] == pytest.approx((first & second).sum() / (first | second).sum())
        assert links.containment[i] == pytest.approx((first & second).sum() / min(first.sum(), second.sum()))
        between = [np.bincount(images[m][first & second])[1:].max(initial=0) for m in range(z + 1, far)]
        assert links.blocked[i] == pytest.approx(max(between, default=0) / (first & second).sum())
        assert (links.through[i] == NO_INSTANCE) == (links.blocked[i] == 0)


@given(STACKS)
def test_clean_links_are_one_to_one(stack: np.ndarray) -> None:
    links = link_slices(instances_of(stack), range(len(stack)), OPTIONS)
    for ids in (links.first[links.clean], links.second[links.clean]):
        assert len(np.unique(ids)) == len(ids)
    assert not links.gap[links.clean].any()


def test_cylinder_is_linked_cleanly_and_not_across() -> None:
    links = link_slices(instances_of(np.stack([disk(8)] * 4).astype(int)), range(4), OPTIONS)
    assert links.clean.tolist() == [True] * 3
    assert links.iou.tolist() == [1.0] * 3


def test_missed_slices_are_bridged_up_to_the_widest_gap() -> None:
    for missed in range(1, 8):
        stack = np.zeros((missed + 2, 41, 41), int)
        stack[0] = stack[-1] = disk(8)
        links = link_slices(instances_of(stack), range(len(stack)), OPTIONS)
        assert links.gap.tolist() == ([missed] if missed <= widest_gap(OPTIONS) else [])
    assert len(link_slices(instances_of(stack), range(9), StitchOptions(max_gap=0))) == 0


def test_split_and_fused_masks_leave_no_clean_link() -> None:
    whole = disk(10).astype(int)
    halves = whole.copy()
    halves[:, 21:] *= 2
    for stack in (np.stack([whole, halves]), np.stack([halves, whole])):
        links = link_slices(instances_of(stack), range(2), OPTIONS)
        assert len(links) == 2
        assert not links.clean.any()


def test_containment_links_what_overlap_alone_would_not() -> None:
    stack = np.stack([disk(3), disk(12)]).astype(int)
    links = link_slices(instances_of(stack), range(2), OPTIONS)
    assert links.iou[0] < OPTIONS.min_iou
    assert links.containment[0] == 1.0


def test_nothing_gives_no_links() -> None:
    empty = Instances.empty((5, 5))
    assert len(link_slices(empty, range(4), OPTIONS)) == 0
