"""Particles that are in several overlapping fields of one sample: which row of the table counts."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from tomostat.kernels.arrays import Doubles

LEAST_SHARE = 0.25
"""Least share of the smaller of two equivalent balls that lies in the other for both to be one particle."""


def shared_volume(distance: Doubles, first: Doubles, second: Doubles) -> Doubles:
    """Volume that two balls share.

    Parameters
    ----------
    distance, first, second
        Distance of the centres, and both radii, in one unit.

    Returns
    -------
    numpy.ndarray
        Volume in that unit cubed.

    Notes
    -----
    ``pi (r + s - d)^2 (d^2 + 2 d (r + s) - 3 (r - s)^2) / (12 d)`` for a lens of two caps; the smaller ball where it
    lies in the other.
    """
    least = np.minimum(first, second)
    apart = np.maximum(distance, 1e-12)
    reach = np.maximum(first + second - distance, 0)
    lens = np.pi * reach**2 * (apart**2 + 2 * apart * (first + second) - 3 * (first - second) ** 2) / (12 * apart)
    contained = distance <= np.abs(first - second)
    return np.where(contained, 4 / 3 * np.pi * least**3, np.maximum(lens, 0))


def match_fields(first: Doubles, second: Doubles) -> NDArray[np.intp]:
    """Pairs of particles of two fields that are the same particle.

    Parameters
    ----------
    first, second
        (n, 4) and (m, 4): centre z, y, x in the sample's frame and radius of the ball of equal volume, micrometers.

    Returns
    -------
    numpy.ndarray
        (k, 2) rows of `first` and `second`, at most one pair for each.

    Notes
    -----
    Two particles may be the same where at least `LEAST_SHARE` of the smaller ball lies in the other: a particle cut by
    a field's border is smaller, and its centre displaced. Of those, the pairs are taken in which each is the other's
    best match by intersection over union. The tips that a border cuts off elongated particles may lie beyond the ball
    and remain unmatched.
    """
    no_pairs = np.empty((0, 2), np.intp)
    if not len(first) or not len(second):
        return no_pairs
    reach = float(first[:, 3].max() + second[:, 3].max())
    near = cKDTree(first[:, :3]).query_ball_tree(cKDTree(second[:, :3]), reach)
    i = np.repeat(np.arange(len(first)), [len(found) for found in near])
    j = np.fromiter(itertools.chain.from_iterable(near), np.intp)
    r, s = first[i, 3], second[j, 3]
    shared = shared_volume(np.linalg.norm(first[i, :3] - second[j, :3], axis=1), r, s)
    may = shared >= LEAST_SHARE * 4 / 3 * np.pi * np.minimum(r, s) ** 3
    i, j, r, s, shared = i[may], j[may], r[may], s[may], shared[may]
    if not len(i):
        return no_pairs
    score = shared / (4 / 3 * np.pi * (r**3 + s**3) - shared)
    mutual = _is_best(i, score, len(first)) & _is_best(j, score, len(second))
    return np.unique(np.stack([i[mutual], j[mutual]], axis=1), axis=0)


def _is_best(member: NDArray[np.intp], score: Doubles, count: int) -> NDArray[np.bool_]:
    """Whether a pair has the highest score of all pairs of its member."""
    best = np.zeros(count)
    np.maximum.at(best, member, score)
    return np.asarray(score >= best[member])


def duplicates(field: NDArray[np.intp], place: Doubles, radius: Doubles, cut: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Particles of one sample that count in another of its fields.

    Parameters
    ----------
    field
        (n,) number of the field.
    place
        (n, 3) centre z, y, x in the sample's frame, micrometers.
    radius
        (n,) radius of the ball of equal volume, micrometers.
    cut
        (n,) whether the field's border cuts the particle.

    Returns
    -------
    numpy.ndarray
        (n,) bool. Of the rows that are the same particle, one that is not cut counts, else the largest one, with all
        others of its field; the rest are true.
    """
    balls = np.column_stack([place, radius])
    pairs = [np.empty((0, 2), np.intp)]
    for a, b in itertools.combinations(np.unique(field), 2):
        rows = np.flatnonzero(field == a), np.flatnonzero(field == b)
        found = match_fields(balls[rows[0]], balls[rows[1]])
        pairs.append(np.stack([rows[0][found[:, 0]], rows[1][found[:, 1]]], axis=1))
    i, j = np.concatenate(pairs).T
    n = len(field)
    group = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(n, n)), directed=False)[1]
    order = np.lexsort((field, -radius, cut, group))
    first = order[np.r_[True, np.diff(group[order]) > 0]] if n else order
    counting = field[first]  # the field that counts, by the group's number
    return np.asarray(field != counting[group])
