"""Raw binary files: byte order, and sizes that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from sources import GREY, SHAPE, assert_refused, npy, raw
from tomostat.ingest import IngestOptions, ingest_volume, probe
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


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_voxels_behind_a_header(tmp_path, dtype):
    path = tmp_path / "a.raw"
    path.write_bytes(b"header" * 10 + GREY.astype(dtype).tobytes())
    source = probe(path, spacing=1, options=IngestOptions(shape=SHAPE, dtype=dtype, offset=60))
    assert np.array_equal(source.read_all(), GREY)
    options = IngestOptions(shape=SHAPE, dtype=dtype)
    assert_refused(tmp_path, path, r"check shape and dtype, and offset \(a header of 60 bytes\?\)", options=options)


@pytest.mark.parametrize(("order", "dtype"), [("LOWBYTEFIRST", "<f4"), ("HIGHBYTEFIRST", ">f4")])
def test_a_file_beside_it_tells_shape_and_spacing(tmp_path, order, dtype):
    path = raw(tmp_path / "a.vol", GREY.astype(dtype))
    lines = ["! PyHST_SLAVE VOLUME INFO FILE", "NUM_X =  85", "NUM_Y =  70", "NUM_Z =  6", "voxelSize =  0.25"]
    (tmp_path / "a.vol.info").write_text("\n".join([*lines, f"BYTEORDER = {order}"]))
    source = probe(path)
    assert source.spacing == (0.25, 0.25, 0.25)
    assert np.array_equal(source.read_all(), GREY)
    (tmp_path / "a.vol.info").write_text("NUM_X = 85")
    assert_refused(tmp_path, path, "a.vol.info does not tell shape and voxel size", names_source=False)


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"PK\x03\x04", "a zip archive; unpack it"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a Zeiss TXM or TXRM file; export it as a TIFF stack"),
        (b"MATLAB 5.0 MAT-file", "a MATLAB file; save the volume as TIFF, or with `save -v7.3`"),
        (bytes(128) + b"DICM", "a DICOM file; convert the series to NIfTI"),
        (b"{", "a text file"),
    ],
)
def test_files_of_other_programs_are_told_by_their_first_bytes(tmp_path, start, what):
    path = tmp_path / "a.dat"
    path.write_bytes(start + bytes(1000))
    assert_refused(tmp_path, path, f"a.dat is {what}")
