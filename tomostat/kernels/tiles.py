"""Overlapping tiles of equal size along an axis of a slice."""

from __future__ import annotations

import math


def tile_size(length: int, tile: int, overlap: int, multiple: int = 64) -> int:
    """Size of the smallest tiles that cover an axis in the same number as tiles of size `tile`.

    Parameters
    ----------
    length
        Pixels along the axis.
    tile
        Largest size of a tile in pixels.
    overlap
        Pixels that neighbouring tiles share at least.
    multiple
        The size is a multiple of this, but not larger than `tile`; a single tile has the length of the axis.
    """
    if length <= tile:
        return length
    count = math.ceil((length - overlap) / (tile - overlap))
    least = math.ceil((length + (count - 1) * overlap) / count)
    return min(math.ceil(least / multiple) * multiple, tile)


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """First pixels of equal tiles that cover an axis; neighbouring tiles share at least `overlap` pixels."""
    if length <= tile:
        return [0]
    count = math.ceil((length - overlap) / (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]
