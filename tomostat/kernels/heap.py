"""A binary heap whose keys can change while items wait in it: for shortest paths and for merging best first.

`heapq` of the standard library, which numba compiles, cannot change a key; leaving outdated entries in it takes several
times the memory where most keys change often.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Keys = NDArray[np.float64]
Items = NDArray[np.int32]

NEVER = -1
"""Slot of an item that has not been in the heap."""
POPPED = -2
"""Slot of an item that was in the heap and has left it."""


class Heap(NamedTuple):
    """Items 0 to n - 1, each in the heap at most once, the smallest key first.

    Attributes
    ----------
    keys
        Key of every slot in use, (n,) float64.
    items
        Item of every slot in use, (n,) int32.
    slot
        Slot of every item, (n,) int32; `NEVER` or `POPPED` for items that are not in the heap.
    size
        Number of slots in use, (1,) int64: an array, so that functions can change it.
    ordered
        Whether of equal keys the smaller item comes first. Otherwise their order is that of the slots: it follows from
        the sequence of calls alone.
    """

    keys: Keys
    items: Items
    slot: Items
    size: NDArray[np.int64]
    ordered: bool


@njit(cache=True, nogil=True)
def new_heap(n: int, ordered: bool) -> Heap:
    """An empty heap for `n` items."""
    return Heap(
        np.empty(n, np.float64), np.empty(n, np.int32), np.full(n, NEVER, np.int32), np.zeros(1, np.int64), ordered
    )


@njit(cache=True, nogil=True)
def push(heap: Heap, item: int, key: float) -> None:
    """Insert an item, or lower the key of one that is in the heap."""
    at = heap.slot[item]
    if at < 0:
        at = heap.size[0]
        heap.size[0] += 1
    _rise(heap.keys, heap.items, heap.slot, at, item, key, heap.ordered)


@njit(cache=True, nogil=True)
def pop(heap: Heap) -> int:
    """Remove the first item of a heap that is not empty."""
    first = heap.items[0]
    heap.slot[first] = POPPED
    heap.size[0] -= 1
    last = heap.size[0]
    if last > 0:
        _sink(heap.keys, heap.items, heap.slot, last, 0, heap.items[last], heap.keys[last], heap.ordered)
    return first


@njit(cache=True, nogil=True)
def change(heap: Heap, item: int, key: float) -> None:
    """Set the key of an item that is in the heap."""
    at = _rise(heap.keys, heap.items, heap.slot, heap.slot[item], item, key, heap.ordered)
    _sink(heap.keys, heap.items, heap.slot, heap.size[0], at, item, key, heap.ordered)


@njit(cache=True, nogil=True)
def _before(key: float, item: int, other_key: float, other: int, ordered: bool) -> bool:
    """Whether an item comes before another one."""
    return key < other_key or (ordered and key == other_key and item < other)


@njit(cache=True, nogil=True)
def _rise(keys: Keys, items: Items, slot: Items, at: int, item: int, key: float, ordered: bool) -> int:
    """Put an item into a slot or, where it comes before its parents, above them; returns its slot."""
    while at > 0:
        above = (at - 1) // 2
        if not _before(key, item, keys[above], items[above], ordered):
            break
        keys[at], items[at] = keys[above], items[above]
        slot[items[at]] = at
        at = above
    keys[at], items[at] = key, item
    slot[item] = at
    return at


@njit(cache=True, nogil=True)
def _sink(keys: Keys, items: Items, slot: Items, size: int, at: int, item: int, key: float, ordered: bool) -> None:
    """Put an item into a slot or, where its children come before it, below them."""
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and _before(keys[below + 1], items[below + 1], keys[below], items[below], ordered):
            below += 1
        if not _before(keys[below], items[below], key, item, ordered):
            break
        keys[at], items[at] = keys[below], items[below]
        slot[items[at]] = at
        at = below
    keys[at], items[at] = key, item
    slot[item] = at
