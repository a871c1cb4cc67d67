"""NRRD, NIfTI and MetaImage: axes, voxel sizes, and files that are refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from sources import GREY, SHAPE, assert_refused, itk
from tomostat.ingest import IngestOptions, probe


@pytest.mark.parametrize("name", ["a.nrrd", "a.nii", "a.mha"])
def test_spacing_is_in_millimeters_where_that_may_be(tmp_path, name):
    assert probe(itk(tmp_path / name, spacing=(2e-4, 1e-4, 5e-5))).spacing == pytest.approx((0.2, 0.1, 0.05), rel=1e-5)
    assert probe(itk(tmp_path / name), need_spacing=False).spacing is None, "1 mm, which no microscope has"


def test_units_of_nrrd(tmp_path):
    path = itk(tmp_path / "a.nrrd", spacing=(50.0, 50.0, 50.0))
    head, _, voxels = path.read_bytes().partition(b"\n\n")
    path.write_bytes(head + b'\nspace units: "nm" "nm" "nm"\n\n' + voxels)
    assert probe(path).spacing == pytest.approx((0.05, 0.05, 0.05))


def test_components_are_channels(tmp_path):
    import SimpleITK

    two = SimpleITK.GetImageFromArray(np.stack([GREY, GREY + 1], axis=-1), isVector=True)
    SimpleITK.WriteImage(two, str(tmp_path / "a.mha"))
    assert_refused(tmp_path, tmp_path / "a.mha", "take one with channel=0 to 1")
    source = probe(tmp_path / "a.mha", spacing=1, options=IngestOptions(channel=1))
    assert source.shape == SHAPE
    assert np.array_equal(source.read((slice(1, 3), slice(5, 9), slice(0, 7))), GREY[1:3, 5:9, :7] + 1)


def test_voxels_in_another_folder_need_leave(tmp_path):
    (tmp_path / "in").mkdir()
    header = itk(tmp_path / "in" / "a.mhd")
    (tmp_path / "in" / "a.raw").rename(tmp_path / "a.raw")
    header.write_text(header.read_text().replace("= a.raw", "= ../a.raw"))
    assert_refused(tmp_path, header, "links to '../a.raw', outside its folder")
    assert probe(header, spacing=1, options=IngestOptions(outside=True)).shape == SHAPE


def test_a_damaged_file_and_a_missing_library(tmp_path, monkeypatch):
    path = itk(tmp_path / "a.nrrd")
    content = path.read_bytes()
    path.write_bytes(content[:40])
    assert_refused(tmp_path, path, "a.nrrd is a damaged NRRD file")
    path.write_bytes(content[: len(content) // 2])
    assert_refused(tmp_path, path, "a.nrrd.* is damaged")
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    assert_refused(tmp_path, path, r"needs SimpleITK to be read; `pip install tomostat\[itk\]`")
