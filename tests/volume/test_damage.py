"""Damaged files of arrays: found when they are read, and named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dask import compute

from tomostat.volume import check_tasks, create_volume, open_volume, pyramid_tasks, read_box, write_box
from tomostat.volume.damage import find_damage
from tomostat.volume.metadata import open_array

SHAPE = (70, 300, 30)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A volume of four files."""
    path = tmp_path / "a.zarr"
    create_volume(path, shape=SHAPE, dtype="u1", spacing=(1, 1, 1))
    write_box(path, (0, 0, 0), np.random.default_rng(0).integers(0, 255, SHAPE).astype("u1"))
    return path


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 4
    file.write_bytes(content)


def damaged(path: Path) -> list[str]:
    """What a check of a folder finds."""
    return [line for found in compute(check_tasks([path]), scheduler="sync")[0].values() for line in found]


def test_every_flipped_byte_of_a_chunk_is_found(volume):
    file, array, rng = volume / "0/c/0/1/0", open_array(volume, "0"), np.random.default_rng(1)
    for at in rng.integers(0, file.stat().st_size, 40):
        flip(file, at)
        assert find_damage(array, (0, 1, 0)).startswith(f"{file} is damaged")
        flip(file, at)
    assert find_damage(array, (0, 1, 0)) is None


@pytest.mark.parametrize("read", [
    lambda path: read_box(path, (slice(0, 70), slice(250, 300), slice(0, 30))),
    lambda path: open_volume(path).values,
    lambda path: compute(pyramid_tasks(path)[0], scheduler="sync"),
])  # fmt: skip
def test_who_reads_a_damaged_chunk_is_told_the_file(volume, read):
    flip(volume / "0/c/0/1/0", 1000)
    with pytest.raises(ValueError, match=r"a\.zarr/0/c/0/1/0 is damaged .*; restore it, or make it again with --again"):
        read(volume)


def test_a_check_reads_all_files_of_a_folder(volume):
    assert damaged(volume) == []
    flip(volume / "0/c/1/0/0", -1)
    (volume / "0/c/0/0/0").write_bytes(b"")
    (volume / "0/c/1/1/0").unlink()  # legal: a file of fill values only; the inventory of the stage tells
    empty, flipped = damaged(volume)
    assert empty == f"{volume / '0/c/0/0/0'} is empty"
    assert flipped.startswith(f"{volume / '0/c/1/0/0'} is damaged")
