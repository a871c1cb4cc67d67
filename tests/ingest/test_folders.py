"""Folders of slices: hidden files, other files among them, and missing numbers."""

from __future__ import annotations

import numpy as np
import pytest

from sources import GREY, SHAPE, assert_refused, slices, tiff
from tomostat.ingest import IngestOptions, probe
from tomostat.ingest.folders import missing_numbers, slice_numbers


def test_hidden_and_foreign_files_are_left_out(tmp_path):
    folder = slices(tmp_path / "s")
    (folder / "._slice_5.tif").write_bytes(b"\0\5\x16\7 a resource fork")
    for name in (".DS_Store", "Thumbs.db", "notes.txt"):
        (folder / name).write_bytes(b"x")
    assert np.array_equal(probe(folder, spacing=1).read_all(), GREY)


def test_files_of_another_name_are_refused(tmp_path):
    folder = slices(tmp_path / "s")
    tiff(folder / "flat_5.tif", GREY[0])
    assert_refused(tmp_path, folder, r"6 files named like slice_5.tif and 1 others \(flat_5.tif\)")


def test_missing_slices_are_refused_unless_allowed(tmp_path):
    folder = slices(tmp_path / "s")
    (folder / "slice_7.tif").unlink()
    (folder / "slice_9.tif").unlink()
    assert_refused(tmp_path, folder, r"slice_5.tif to slice_10.tif, 2 are missing \(7, 9\); copy them as well, or take")
    found = probe(folder, spacing=1, options=IngestOptions(incomplete=True))
    assert np.array_equal(found.read_all(), GREY[[0, 1, 3, 5]])


def test_several_series_in_one_folder(tmp_path):
    folder = slices(tmp_path / "s", GREY[:3], "z{}_c0.tif")
    for z in range(3):
        tiff(folder / f"z{z + 5}_c1.tif", GREY[z])
    assert_refused(tmp_path, folder, "names from z5_c0.tif to z7_c1.tif count along several numbers")
    assert probe(slices(tmp_path / "t", name="run2_{}_of_6.tif"), spacing=1).shape == SHAPE


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["a1", "a2", "a4"], [3]),
        (["a0", "a2", "a4"], []),  # every second slice
        (["a0", "a2", "a4", "a8"], [6]),
        (["7"], []),
        (["a10", "a1000", "a1001"], []),  # positions, not a count
        (["t1_005", "t1_006", "t1_008"], [7]),
        (["0001_1723", "0002_1790", "0003_1851"], []),  # a count, then times
    ],
)
def test_missing_numbers(names, missing):
    numbers = slice_numbers(names)
    assert numbers is not None
    assert missing_numbers(numbers) == missing
