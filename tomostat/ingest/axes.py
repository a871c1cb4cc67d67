"""From the axes of an array, named or not, to z y x."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomostat.blocks import Box, Shape
from tomostat.ingest.options import IngestOptions

KINDS = {
    "z": "z", "depth": "z", "slice": "z", "slices": "z", "plane": "z",
    "y": "y", "height": "y", "row": "y", "rows": "y", "x": "x", "width": "x", "column": "x", "columns": "x",
    "c": "channel", "s": "channel", "channel": "channel", "channels": "channel", "sample": "channel",
    "t": "time", "time": "time", "frame": "time",
}  # fmt: skip
"""What an axis is, by the names that programs give it."""

MOST_CHANNELS = 4
"""An axis of more channels than that is one of slices under a wrong name."""

COLOURS = (3, 4)
"""Lengths of a last axis that holds colours: RGB and RGBA."""

SMALLEST_PICTURE = 16
"""Images with a side of no more pixels than that are not taken for colour pictures."""


@dataclass(frozen=True, kw_only=True)
class Axes:
    """Where (z, y, x) lie in an array of any number of axes.

    Attributes
    ----------
    lengths
        Shape of the array.
    space
        Which of its axes are z, y and x; None for z of a single image.
    index
        What is taken of every axis that is none of these, by axis: its channel or point in time, or 0.
    flipped
        Whether z, y, x run backwards in the array.
    """

    lengths: tuple[int, ...]
    space: tuple[int | None, int, int]
    index: tuple[int, ...]
    flipped: tuple[bool, bool, bool] = (False, False, False)

    @property
    def shape(self) -> Shape:
        """Voxels (z, y, x)."""
        return self.pick(self.lengths, 1)

    def pick(self, values: Sequence[Any], missing: Any = None) -> tuple[Any, Any, Any]:
        """What belongs to z, y and x out of one value per axis of the array; `missing` for z of a single image."""
        z, y, x = (missing if axis is None else values[axis] for axis in self.space)
        return z, y, x

    def part(self, box: Box) -> tuple[int | slice, ...]:
        """Index into the array that takes a box (z, y, x)."""
        found: list[int | slice] = list(self.index)
        for axis, run, backwards in zip(self.space, box, self.flipped, strict=True):
            if axis is not None:
                n = self.lengths[axis]
                found[axis] = slice(n - run.stop, n - run.start) if backwards else run
        return tuple(found)

    def turn(self, part: NDArray[Any]) -> NDArray[Any]:
        """What `part` took of the array, as (z, y, x): a view."""
        present = [axis for axis in self.space if axis is not None]
        turned = part.transpose([sorted(present).index(axis) for axis in present])
        turned = turned if len(present) == 3 else turned[np.newaxis]
        return turned[tuple(slice(None, None, -1 if backwards else 1) for backwards in self.flipped)]

    def select(self, array: Any, box: Box) -> NDArray[Any]:
        """A box (z, y, x) of the array."""
        return self.turn(np.asarray(array[self.part(box)]))

    def without(self, lead: int) -> Axes:
        """Axes of the arrays that the first `lead` axes count."""
        z, y, x = self.space
        space = None if z is None or z < lead else z - lead, y - lead, x - lead
        return replace(self, lengths=self.lengths[lead:], index=self.index[lead:], space=space)

    def over(self, lengths: Sequence[int], chunk: Sequence[int]) -> Axes:
        """The same axes of the grid, of so many chunks of so many elements, that covers the array."""
        index = tuple(i // n for i, n in zip(self.index, chunk, strict=True))
        return replace(self, lengths=tuple(lengths), index=index)

    def oriented(self, orientation: int) -> Axes:
        """The same axes of pictures that are turned or mirrored as the EXIF or TIFF tag Orientation (1 to 8) says.

        Raises
        ------
        ValueError
            When there is no such orientation.
        """
        if orientation not in range(1, 9):
            raise ValueError(f"orientation is {orientation}; expected 1 to 8")
        z, y, x = self.space
        if orientation > 4:  # the stored rows run along x of the picture
            y, x = x, y
        return replace(self, space=(z, y, x), flipped=(False, orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)))


def long_axes(lengths: Sequence[int] | None) -> int:
    """Number of axes that are longer than 1."""
    return sum(n > 1 for n in lengths or ())


def place_axes(name: str, lengths: Sequence[int], names: Sequence[Any] | None, options: IngestOptions) -> Axes:
    """Find z, y and x among the axes of an array.

    Axes of length 1 may stand anywhere. Of channels and points in time, one is taken, as the options say. Where the
    axes have no names, the last long ones are z, y and x.

    Parameters
    ----------
    name
        Name of the array, for messages.
    lengths
        Shape of the array.
    names
        Name of every axis as the file tells them, in any spelling of `KINDS`; None where it does not.
    options
        Which channel and point in time to take.

    Raises
    ------
    ValueError
        When the array is empty, in colour, or has too few or too many axes.
    """
    lengths = tuple(int(n) for n in lengths)
    text = " x ".join(map(str, lengths))
    if min(lengths, default=0) < 1 or len(lengths) < 2:
        raise ValueError(f"{name} has shape {text or '()'}; expected a volume z y x, or an image y x")
    kinds = [KINDS.get(str(one).lower(), "") for one in names or ()]
    if len(kinds) != len(lengths) or any(kinds.count(axis) != 1 for axis in "yx") or kinds.count("z") > 1:
        kinds = _guessed(lengths, options)
    listed = ", ".join(f"{kind or 'axis'} {n}" for kind, n in zip(kinds, lengths, strict=True) if n > 1)
    index = [0] * len(lengths)
    for kind, chosen in (("channel", options.channel), ("time", options.time)):
        if chosen is not None:
            axis = next((i for i, one in enumerate(kinds) if one == kind and lengths[i] > 1), None)
            most = 1 if axis is None else lengths[axis]
            if chosen >= most:
                raise ValueError(f"{name} ({listed}): {kind} is {chosen}; expected 0 to {most - 1}")
            if axis is not None:
                index[axis], kinds[axis] = chosen, "taken"
    rest = [i for i, kind in enumerate(kinds) if kind not in ("x", "y", "z", "taken") and lengths[i] > 1]
    if "z" not in kinds and len(rest) == 1 and not _is_channels(kinds[rest[0]], lengths[rest[0]]):
        kinds[rest.pop()] = "z"
    if rest:
        raise ValueError(f"{name} {_too_many(listed, kinds[rest[0]], lengths[rest[0]])}")
    z = kinds.index("z") if "z" in kinds else None
    return Axes(lengths=lengths, space=(z, kinds.index("y"), kinds.index("x")), index=tuple(index))


def _is_channels(kind: str, length: int) -> bool:
    return kind == "channel" and length <= MOST_CHANNELS


def _too_many(listed: str, kind: str, length: int) -> str:
    """What an axis too many is, and what to do."""
    if kind == "channel":
        what = f"holds colours or channels ({listed}): a colour image (RGB) or several images"
        return f"{what}; take one with channel=0 to {length - 1} (--ingest.channel), or convert it to grey"
    if kind == "time":
        return f"holds {length} points in time ({listed}); take one with time=0 to {length - 1} (--ingest.time)"
    return (
        f"has axes {listed}; expected three axes z y x, one channel and one point in time: take one with channel=0 "
        "(--ingest.channel) or time=0 (--ingest.time)"
    )


def _guessed(lengths: Sequence[int], options: IngestOptions) -> list[str]:
    """Kinds of axes that have no names: the last long ones are z, y and x, unless they look like colours."""
    long = [i for i, n in enumerate(lengths) if n > 1]
    if len(lengths) == 2 or (len(lengths) == 3 and lengths[-1] > 1) or len(long) < 2:
        long = list(range(max(len(lengths) - 3, 0), len(lengths)))
    sizes = [lengths[i] for i in long]
    picture = len(long) == 3 and sizes[-1] in COLOURS and min(sizes[:2]) > SMALLEST_PICTURE
    if picture or (len(long) > 3 and sizes[-1] <= MOST_CHANNELS < min(sizes[-4:-1])):
        order = "zyxc"[-len(long) :] if not picture else "yxc"
    else:
        order = (
            ("tzyx" if options.time is not None and options.channel is None else "czyx") if len(long) == 4 else "tczyx"
        )
    kinds = [""] * len(lengths)
    for axis, kind in zip(reversed(long), reversed(order), strict=False):
        kinds[axis] = KINDS[kind]
    return kinds
