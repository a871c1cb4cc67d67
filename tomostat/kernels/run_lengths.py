"""COCO's run-length codes of masks.

Runs alternate between background and mask, start with background, and go down the columns. Format: pycocotools,
``maskApi.c``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST_BITS = 60
"""A run length of more bits than that is none."""


def decode(counts: Sequence[int] | str | bytes, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask of a run-length code.

    Parameters
    ----------
    counts
        Lengths of the runs, or the compressed code.
    size
        Pixels (ny, nx) of the mask.

    Returns
    -------
    ndarray
        (ny, nx) bool.

    Raises
    ------
    ValueError
        When the runs do not add up to the pixels of the image.
    """
    height, width = size
    runs = np.asarray(decompress(counts) if isinstance(counts, str | bytes) else counts, np.int64)
    if runs.sum() != height * width or (runs < 0).any():
        raise ValueError(f"run lengths add up to {runs.sum()}; expected {height} x {width} = {height * width}")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def decompress(code: str | bytes) -> list[int]:
    """Run lengths of a compressed code.

    A run is stored as its difference to the run before last, in characters of 5 bits each, the lowest first; the sixth
    bit says that another character follows.
    """
    text = code.encode() if isinstance(code, str) else code
    runs: list[int] = []
    value = shift = 0
    for byte in text:
        bits = byte - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if shift > MOST_BITS:
            raise ValueError("the code of run lengths is damaged: a number does not end")
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs


def encode(start: NDArray[np.int32], length: NDArray[np.int32], pixels: int) -> str:
    """Compressed run-length code of a mask.

    Parameters
    ----------
    start, length
        (n,) positions and lengths of the mask's runs of pixels down the columns, ascending.
    pixels
        Pixels of the image.
    """
    stop = start + length
    apart = start[1:] != stop[:-1]  # runs that meet at the end of a column are one
    edges = np.stack([start[np.append(True, apart)], stop[np.append(apart, True)]], axis=1).ravel()
    return compress(np.diff(edges, prepend=0, append=pixels).astype(np.int64))


def compress(runs: NDArray[np.int64]) -> str:
    """The inverse of `decompress`, without a last run of no pixels."""
    if runs[-1] == 0:
        runs = runs[:-1]
    rest = runs.copy()
    rest[3:] -= runs[1:-2]
    characters, going = [], np.ones(len(rest), bool)
    while going.any():
        low, rest = rest & 0x1F, rest >> 5
        more = going & (rest != np.where(low & 0x10, -1, 0))
        characters.append(np.where(going, low + 0x20 * more + 48, 0))
        going = more
    code = np.stack(characters, axis=1).astype(np.uint8).ravel()
    return code[code > 0].tobytes().decode("ascii")
