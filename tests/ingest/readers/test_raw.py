"""Raw binary files: byte order, and sizes that do not fit."""

from __future__ import annotations

import numpy as np

from sources import GREY, SHAPE, assert_refused, npy, raw
from tomostat.ingest import IngestOptions, ingest_volume
from tomostat.volume import open_volume


def test_raw_of_any_endianness(tmp_path):
    for dtype in ("<u2", ">u2", "uint16"):
        source = raw(tmp_path / "a.raw", GREY.astype(dtype))
        options = IngestOptions(shape=SHAPE, dtype=dtype)
        info = ingest_volume(source, tmp_path / "v.zarr", spacing=1.0, options=options)
        assert np.array_equal(open_volume(info.path).values, GREY)


def test_raw_that_does_not_fit(tmp_path):
    path = raw(tmp_path / "a.raw")
    assert_refused(tmp_path, path, "of no format that tomostat knows; if it is raw")
    assert_refused(
        tmp_path, path, "71400 bytes; shape 6 x 70 x 84", options=IngestOptions(shape=(6, 70, 84), dtype="u2")
    )
    assert_refused(tmp_path, path, "dtype is 'grey'", options=IngestOptions(shape=SHAPE, dtype="grey"))
    options = IngestOptions(shape=SHAPE, dtype="u2")
    assert_refused(tmp_path, npy(tmp_path / "a.npy"), "shape, dtype and offset are for raw files", options=options)
    (tmp_path / "empty.raw").touch()
    assert_refused(tmp_path, tmp_path / "empty.raw", "is empty", options=options)
