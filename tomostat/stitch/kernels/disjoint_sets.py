"""Disjoint sets: which things belong together by way of others (union-find)."""

from __future__ import annotations

import numba


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
