"""Blocks of work: a core that is written and a halo around it that is only read."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

Box = tuple[slice, slice, slice]
"""Part (z, y, x) of a volume."""

Shape = tuple[int, int, int]
"""Numbers of voxels (z, y, x)."""


def box_between(low: Iterable[int], high: Iterable[int]) -> Box:
    """The box from its first voxel (z, y, x) to that after its last one."""
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return z, y, x


def box_of(shape: Sequence[int]) -> Box:
    """The box (z, y, x) of all voxels."""
    return box_between((0, 0, 0), shape)


def box_within(box: Box, outer: Box) -> Box:
    """A box relative to the first voxel of another, which holds it."""
    z, y, x = (slice(s.start - o.start, s.stop - o.start) for s, o in zip(box, outer, strict=True))
    return z, y, x


def middle_box(shape: Sequence[int], size: Sequence[int]) -> Box:
    """A box (z, y, x) of some size in the middle of a volume, or as much of it as there is."""
    low = [max((n - side) // 2, 0) for n, side in zip(shape, size, strict=True)]
    return box_between(low, [min(a + side, n) for a, side, n in zip(low, size, shape, strict=True)])


def box_text(box: Box) -> str:
    """A box as on the command line, ``z0:z1,y0:y1,x0:x1``; `parse_box` reads it back."""
    return ",".join(f"{part.start}:{part.stop}" for part in box)


def parse_box(text: str) -> Box:
    """A box from ``z0:z1,y0:y1,x0:x1``, the first voxel and the one after the last along each axis.

    Raises
    ------
    ValueError
        When it is written otherwise.
    """
    ends = re.fullmatch(r"(\d+):(\d+),(\d+):(\d+),(\d+):(\d+)", re.sub(r"\s", "", text))
    if ends is None:
        raise ValueError(f"box is {text!r}; expected z0:z1,y0:y1,x0:x1 in voxels, such as 100:132,0:256,0:256")
    numbers = [int(end) for end in ends.groups()]
    return box_between(numbers[::2], numbers[1::2])


@dataclass(frozen=True)
class Block:
    """One unit of work.

    Attributes
    ----------
    index
        Position in the grid (z, y, x).
    core
        Voxels that the block alone writes.
    outer
        Core and halo, clipped to the volume: the voxels that the block reads.
    """

    index: Shape
    core: Box
    outer: Box

    @property
    def key(self) -> str:
        """Name of the block; names sort by position."""
        return "-".join(f"{i:05d}" for i in self.index)

    @property
    def start(self) -> Shape:
        """First voxel of the core."""
        z, y, x = (s.start for s in self.core)
        return z, y, x

    @property
    def inner(self) -> Box:
        """The core relative to the first voxel of `outer`."""
        return box_within(self.core, self.outer)

    def with_halo(self, halo: int) -> Block:
        """The same block with a halo of so many voxels, where it has as many."""
        sides = list(zip(self.core, self.outer, strict=True))
        low = [max(core.start - halo, outer.start) for core, outer in sides]
        high = [min(core.stop + halo, outer.stop) for core, outer in sides]
        return replace(self, outer=box_between(low, high))


def grid_shape(shape: Sequence[int], core: Sequence[int]) -> tuple[int, ...]:
    """Blocks along every axis that cover an array, by the size of their cores."""
    return tuple(math.ceil(n / c) for n, c in zip(shape, core, strict=True))


def block_grid(shape: Sequence[int], core: Sequence[int], halo: Sequence[int] = (0, 0, 0)) -> list[Block]:
    """Blocks that cover a volume.

    Parameters
    ----------
    shape, core, halo
        Voxels (z, y, x) of the volume, of a block's core and of the halo on each side.

    Returns
    -------
    list of Block
        In order of z, y, x; the last one along each axis is clipped.

    Raises
    ------
    ValueError
        When a core is empty or a halo negative.
    """
    if min(core) < 1 or min(halo) < 0:
        raise ValueError(f"core is {tuple(core)} and halo {tuple(halo)}; expected positive cores, halos of 0 or more")
    blocks = []
    for index in itertools.product(*map(range, grid_shape(shape, core))):
        starts = [i * c for i, c in zip(index, core, strict=True)]
        stops = [min(s + c, n) for s, c, n in zip(starts, core, shape, strict=True)]
        outer = [slice(max(a - h, 0), min(b + h, n)) for a, b, h, n in zip(starts, stops, halo, shape, strict=True)]
        blocks.append(Block(index, box_between(starts, stops), tuple(outer)))  # type: ignore[arg-type]
    return blocks


def check_whole_shards(core: Sequence[int], shards: Sequence[int], shape: Sequence[int]) -> None:
    """Refuse blocks with which two tasks would write to one shard, which corrupts it without an error.

    Parameters
    ----------
    core, shards, shape
        Voxels (z, y, x) of a block's core, of a shard, and of the volume.

    Raises
    ------
    ValueError
        When a core is not a whole number of shards along an axis that holds more than one core.
    """
    for axis, c, s, n in zip("zyx", core, shards, shape, strict=True):
        if c % s and c < n:
            raise ValueError(
                f"blocks of {tuple(core)} voxels split shards of {tuple(shards)} along {axis}; "
                "blocks must be whole numbers of shards"
            )


def check_memory(need: int, available: int, what: str) -> None:
    """Refuse a block that does not fit into the memory of a worker.

    Parameters
    ----------
    need, available
        Bytes that one block takes, and bytes of one worker.
    what
        Name of the work, for the message.

    Raises
    ------
    ValueError
        When `need` is larger.
    """
    if need > available:
        raise ValueError(
            f"{what}: one block needs about {need / 2**30:.2f} GiB but a worker has {available / 2**30:.2f} GiB; "
            "give the workers more memory or choose smaller blocks"
        )
