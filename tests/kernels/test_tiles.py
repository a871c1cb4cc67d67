"""Tiles of equal size cover an axis with the overlap that was requested."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tomostat.kernels.tiles import tile_size, tile_starts


@given(st.integers(1, 3000), st.integers(64, 600), st.integers(0, 63))
def test_tiles_cover_the_axis_with_overlap(length, tile, overlap):
    equal = tile_size(length, tile, overlap, 8)
    assert equal <= min(length, tile)
    assert len(tile_starts(length, equal, overlap)) == len(tile_starts(length, tile, overlap))
    starts = tile_starts(length, tile, overlap)
    assert starts[0] == 0
    assert starts[-1] == max(length - tile, 0)
    assert all(0 < b - a <= tile - overlap for a, b in itertools.pairwise(starts))
