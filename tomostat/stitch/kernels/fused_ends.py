"""Ends of particles that a neighbour's mask covers: a mask of both is divided where it narrows between the two.

Where two particles touch, a detection may hold both from some slice on. If one of them ends there, no later slice says
that the mask is shared, and the particle would end flat. It is followed into the mask for some slices: a watershed of
the mask's distance map starts where the sections of the slice before are deepest, and the particle ends where the mask
is not narrower between the two parts than in either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from tomostat.kernels.watershed import solidity
from tomostat.stitch.kernels.interpolation import SectionFinder, SignedDistance, distance_to_edge, signed_distance
from tomostat.stitch.kernels.link import CONTAINED, SIGNIFICANT

NARROW = 0.95
"""Largest half width of a mask between two parts, as a share of the lesser half width of the two."""
COMPACT = 0.75
"""Solidity below which a part is a splinter of a cracked particle."""
SMOOTHING = 1.0
"""Gaussian sigma in pixels of the distance map, whose maxima are the parts."""


@dataclass(frozen=True, eq=False)
class FusedMask:
    """A detection that covers the end of particles beside its own.

    Attributes
    ----------
    parts
        Signed distance to the edge of the part of each particle, its own among them, in one box.
    """

    parts: dict[int, SignedDistance] = field(default_factory=dict)

    def add(self, particle: int, part: SignedDistance, own: int, rest: SignedDistance) -> None:
        """Give a part to another particle, and the rest to the mask's own."""
        self.parts[particle] = part
        before = self.parts.get(own, rest)
        self.parts[own] = SignedDistance(rest.box, np.minimum(before.depth, rest.depth))


def find_fused_ends(finder: SectionFinder, slices: range, reach: int) -> dict[int, FusedMask]:
    """Masks in some slices that cover the end of a particle beside their own.

    Parameters
    ----------
    finder
        Detections of these slices and of ``reach + 1`` slices around them, with their particles.
    slices
        Slices wanted.
    reach
        Largest number of slices over which an end is followed.

    Returns
    -------
    dict
        By instance.
    """
    fused: dict[int, FusedMask] = {}
    for particle, last, step in _ends(finder, slices, reach):
        for instance, part, rest in _follow(finder, particle, last, step, reach):
            if finder.instances.slice[instance] in slices:
                own = int(finder.particle[instance])
                fused.setdefault(instance, FusedMask()).add(particle, part, own, rest)
    return fused


def _follow(
    finder: SectionFinder, particle: int, last: int, step: int, reach: int
) -> Iterator[tuple[int, SignedDistance, SignedDistance]]:
    """Masks of one neighbour that cover the end of a particle, slice by slice, its part and the rest of each."""
    section, rest, neighbour = finder.section(particle, last), None, 0
    for z in range(last + step, last + step * (reach + 1), step):
        found = _covering(finder, section, z)
        if found is None:
            return
        instance, mask = found
        own = int(finder.particle[instance])
        if rest is None and finder.shows(own, last):
            neighbour, rest = own, finder.section(own, last)
        parts = None if rest is None or own != neighbour else _parts(mask, section, rest)
        if parts is None:
            return
        section, rest = parts
        yield instance, section, rest


def _ends(finder: SectionFinder, slices: range, reach: int) -> Iterator[tuple[int, int, int]]:
    """Particles whose first or last slice lies near enough, that slice, and the step that leads out of the particle."""
    seen = finder.seen
    apart = np.flatnonzero((np.diff(seen[:, 0]) != 0) | (np.diff(seen[:, 1]) > reach + 1))
    for at, step in ((np.append(apart, len(seen) - 1), 1), (np.insert(apart + 1, 0, 0), -1)):
        for number, last in seen[at[at >= 0]] if len(seen) else ():
            nearest, farthest = last + step, last + step * reach
            if max(nearest, farthest) >= slices.start and min(nearest, farthest) < slices.stop:
                yield int(number), int(last), step


def _covering(finder: SectionFinder, section: SignedDistance, z: int) -> tuple[int, SignedDistance] | None:
    """The instance of a particle in a slice that covers half of a section and more, and its mask."""
    first, stop = np.searchsorted(finder.instances.slice, [z, z + 1])
    ys, xs = np.nonzero(section.depth > 0)
    ys, xs = ys + section.box[0].start, xs + section.box[1].start
    boxes = finder.instances.box[first:stop]
    meets = (boxes[:, 0] <= ys.max()) & (boxes[:, 2] > ys.min()) & (boxes[:, 1] <= xs.max()) & (boxes[:, 3] > xs.min())
    for i in first + np.flatnonzero(meets & (finder.particle[first:stop] > 0)):
        mask = signed_distance(finder.instances, [i])
        covered = np.count_nonzero(mask.at(ys, xs) > 0)
        if covered >= CONTAINED * len(ys):
            return (int(i), mask) if covered >= SIGNIFICANT * finder.instances.area[i] else None
    return None


def _parts(
    mask: SignedDistance, section: SignedDistance, own: SignedDistance
) -> tuple[SignedDistance, SignedDistance] | None:
    """The parts of a mask that belong to two particles, or None where it does not narrow between them."""
    inside = mask.depth > 0
    depth = ndimage.gaussian_filter(np.maximum(mask.depth, 0), SMOOTHING) * inside
    rows, columns = np.mgrid[mask.box]
    seeds = np.zeros(depth.shape, np.int32)
    for number, before in ((1, section), (2, own)):
        seeds[_summit(depth, before.at(rows, columns))] = number
    basins = watershed(-depth, seeds, mask=inside)
    first, second = basins == 1, basins == 2
    between = depth[first & ndimage.binary_dilation(second)].max(initial=0)
    if between == 0 or solidity(first) < COMPACT:
        return None
    if between >= NARROW * min(depth[first].max(initial=0), depth[second].max(initial=0)):
        return None
    return SignedDistance(mask.box, distance_to_edge(first)), SignedDistance(mask.box, distance_to_edge(second))


def _summit(depth: NDArray[np.float32], before: NDArray[np.float32]) -> tuple[int, int]:
    """The maximum of a map (rows, columns) to which a climb leads from where it and an earlier one are both deep."""
    y, x = (int(i) for i in np.unravel_index(np.minimum(depth, before).argmax(), depth.shape))
    while True:
        y0, x0 = max(y - 1, 0), max(x - 1, 0)
        around = depth[y0 : y + 2, x0 : x + 2]
        v, u = (int(i) for i in np.unravel_index(around.argmax(), around.shape))
        if around[v, u] <= depth[y, x]:
            return y, x
        y, x = y0 + v, x0 + u
