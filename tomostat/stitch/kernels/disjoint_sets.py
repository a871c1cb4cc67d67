"""Disjoint sets: which things belong together by way of others (union-find)."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def find_root(parent, i):  # type: ignore[no-untyped-def]
    """Representative of the set that `i` belongs to; paths are halved on the way.

    Parameters
    ----------
    parent
        Parent of every member, (n,) integers; representatives are their own parents. Changed in place.
    i
        A member.
    """
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@numba.njit(cache=True, nogil=True)
def unite(parent, a, b):  # type: ignore[no-untyped-def]
    """Unite the sets of two members; the lower representative stays one. `parent` as in `find_root`."""
    c, d = find_root(parent, a), find_root(parent, b)
    parent[max(c, d)] = min(c, d)


@numba.njit(cache=True, nogil=True)
def find_roots(parent):  # type: ignore[no-untyped-def]
    """Representative of every member, (n,) int32; `parent` as in `find_root`."""
    roots = np.empty(len(parent), np.int32)
    for i in range(len(parent)):
        roots[i] = find_root(parent, i)
    return roots
