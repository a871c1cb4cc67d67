"""Constrictions of tracks: where the section of a chain of instances narrows and widens again."""

from __future__ import annotations

import numba
import numpy as np

CONSTRICTION = 0.35
"""Depth of a minimum along z of the square root of the area from which on a track is cut, and the graph decides."""


@numba.njit(cache=True, nogil=True)
def cut_constrictions(following, area):  # type: ignore[no-untyped-def]
    """Find where to cut chains of instances: where the area of the section has a deep minimum along z.

    For a convex body the square root of the section's area is concave along z (Brunn and Minkowski), so that a chain
    with a minimum between two maxima is not one convex body. The depth of a minimum is
    ``1 - sqrt(least / lesser of the two maxima)``.

    Parameters
    ----------
    following
        Next instance of every instance, -1 at the end of a chain, (n,) int32.
    area
        Pixels of every instance, (n,) int32.

    Returns
    -------
    ndarray
        Instances after which a chain is cut, (k,) int64.
    """
    n = len(following)
    has_previous = np.zeros(n, np.bool_)
    for i in range(n):
        if following[i] >= 0:
            has_previous[following[i]] = True
    longest = _longest(following, has_previous)
    members, above = np.empty(longest, np.int64), np.empty(longest, np.int64)
    stack = np.empty((longest + 1, 2), np.int64)
    cuts = np.empty(n, np.int64)
    count = 0
    for i in range(n):
        if has_previous[i]:
            continue
        length, instance = 0, i
        while instance >= 0:
            members[length] = instance
            length += 1
            instance = following[instance]
        stack[0] = 0, length
        depth = 1
        while depth > 0:
            depth -= 1
            low, high = stack[depth]
            at = _constriction(members, low, high, area, above)
            if at > low:
                cuts[count] = members[at - 1]
                count += 1
                stack[depth] = low, at
                stack[depth + 1] = at, high
                depth += 2
    return cuts[:count].copy()


@numba.njit(cache=True, nogil=True)
def _longest(following, has_previous):  # type: ignore[no-untyped-def]
    """Number of instances of the longest chain."""
    longest = 0
    for i in range(len(following)):
        if not has_previous[i]:
            length, instance = 0, i
            while instance >= 0:
                length += 1
                instance = following[instance]
            longest = max(longest, length)
    return longest


@numba.njit(cache=True, nogil=True)
def _constriction(members, low, high, area, above):  # type: ignore[no-untyped-def]
    """Where the second part starts when a chain is cut between `low` and `high`; -1 where it is not to be cut."""
    if high - low < 3:
        return -1
    largest = 0
    for k in range(low, high):
        largest = max(largest, area[members[k]])
        above[k] = largest
    largest, deepest, least = 0, CONSTRICTION, -1
    for k in range(high - 1, low - 1, -1):
        largest = max(largest, area[members[k]])
        depth = 1 - np.sqrt(area[members[k]] / min(largest, above[k]))
        if depth >= deepest:
            deepest, least = depth, k
    if least <= low or least >= high - 1:
        return -1
    # the least section goes to the side whose areas it continues
    here = area[members[least]]
    up = down = 2.0**60
    if least - 2 >= low:
        up = abs(here - 2.0 * area[members[least - 1]] + area[members[least - 2]])
    if least + 2 < high:
        down = abs(here - 2.0 * area[members[least + 1]] + area[members[least + 2]])
    return least + 1 if up < down else least
