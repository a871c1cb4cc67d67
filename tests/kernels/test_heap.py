"""The heap against sorting, with keys that change while items wait."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomostat.kernels.heap import NEVER, POPPED, change, new_heap, pop, push

COUNT = 12
KEYS = st.sampled_from([-2.0, 0.0, 0.5, 0.5000001, 7.0])  # few, so that many are equal
STEPS = st.lists(st.tuples(st.sampled_from(["push", "change", "pop"]), st.integers(0, COUNT - 1), KEYS), max_size=60)


@given(STEPS, st.booleans())
def test_the_smallest_key_comes_first(steps: list[tuple[str, int, float]], ordered: bool) -> None:
    heap = new_heap(COUNT, ordered)
    waiting: dict[int, float] = {}
    for action, item, key in steps:
        if action == "push" and key <= waiting.get(item, np.inf):
            push(heap, item, key)
            waiting[item] = key
        elif action == "change" and item in waiting:
            change(heap, item, key)
            waiting[item] = key
        elif action == "pop" and waiting:
            _check_pop(heap, waiting, ordered)
        assert heap.size[0] == len(waiting)
        assert {i for i in range(COUNT) if heap.slot[i] >= 0} == set(waiting)
    while waiting:
        _check_pop(heap, waiting, ordered)


def _check_pop(heap, waiting: dict[int, float], ordered: bool) -> None:
    item = pop(heap)
    assert waiting[item] == min(waiting.values())
    if ordered:
        assert item == min(waiting, key=lambda other: (waiting[other], other))
    del waiting[item]
    assert heap.slot[item] == POPPED


@pytest.mark.parametrize("ordered", [False, True])
def test_many_items_leave_in_the_order_of_their_keys(ordered: bool) -> None:
    keys = np.random.default_rng(0).random(2000)
    heap = new_heap(len(keys), ordered)
    assert (heap.slot == NEVER).all()
    for item, key in enumerate(keys):
        push(heap, item, key)
    assert [pop(heap) for _ in keys] == np.argsort(keys).tolist()
