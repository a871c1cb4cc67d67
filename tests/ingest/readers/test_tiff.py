"""TIFF: order of slices, voxel sizes, parts of pages, and damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from properties import examples
from sources import GREY, SHAPE, assert_refused, slices, tiff
from tomostat.ingest import ingest_volume, probe
from tomostat.ingest.readers.tiff import natural_order
from tomostat.volume import open_volume


def test_slices_in_natural_order(tmp_path):
    folder = slices(tmp_path / "s", name="b{}.TIFF")  # b5 .. b10: text order would put b10 first
    (folder / "notes.txt").write_text("not a slice")
    assert np.array_equal(open_volume(ingest_volume(folder, tmp_path / "v.zarr", spacing=1).path).values, GREY)


@examples(100)
@given(st.lists(st.tuples(st.text("ab", max_size=2), st.integers(0, 200)), unique=True))
def test_natural_order(names):
    """Names with plain numbers, shuffled by text order, come back in order of (text, number)."""
    files = [Path(f"{text}_{number}.tif") for text, number in names]
    found = natural_order(sorted(files))
    assert found == [Path(f"{text}_{number}.tif") for text, number in sorted(names)]


def test_a_folder_of_one_file_is_that_file(tmp_path):
    (tmp_path / "s").mkdir()
    tiff(tmp_path / "s" / "all.tif")
    assert probe(tmp_path / "s", spacing=1).shape == SHAPE


def test_spacing_of_tiff(tmp_path):
    cases = {
        "imagej": ({"imagej": True, "resolution": (20, 20), "metadata": {"spacing": 0.1, "unit": "um", "axes": "ZYX"}},
                   (0.1, 0.05, 0.05)),
        "imagej, nanometers": ({"imagej": True, "resolution": (0.02, 0.04), "metadata": {"spacing": 70, "unit": "nm",
                                "axes": "ZYX"}}, (0.07, 0.025, 0.05)),
        "imagej, no unit": ({"imagej": True, "resolution": (20, 20)}, None),
        "ome": ({"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 50.0, "PhysicalSizeXUnit": "nm",
                 "PhysicalSizeY": 0.05, "PhysicalSizeZ": 0.2}}, (0.2, 0.05, 0.05)),
        "centimeters": ({"resolution": (2e5, 2e5), "resolutionunit": "CENTIMETER"}, (0.05, 0.05, 0.05)),
        "printer, inch": ({"resolution": (300, 300), "resolutionunit": "INCH"}, None),
        "printer, centimeters": ({"resolution": (118, 118), "resolutionunit": "CENTIMETER"}, None),
        "not square": ({"resolution": (2e5, 1e5), "resolutionunit": "CENTIMETER"}, None),
    }  # fmt: skip
    for name, (options, expected) in cases.items():
        found = probe(tiff(tmp_path / f"{name}.tif", **options), need_spacing=False).spacing
        assert found == (pytest.approx(expected) if expected else None), name


def test_packed_strips_outside_a_box_are_not_decoded(tmp_path, monkeypatch):
    """Of a packed page, only what the rows touch is read from the file."""
    source = probe(tiff(tmp_path / "a.tif", compression="zlib", rowsperstrip=10), spacing=1)
    read = []
    real = tifffile.FileHandle.read
    monkeypatch.setattr(tifffile.FileHandle, "read", lambda self, *a: (read.append(a), real(self, *a))[1])
    with tifffile.TiffFile(source.path) as tif:
        sizes_of_strips = set(tif.pages.first.databytecounts) | {c for page in tif.pages for c in page.databytecounts}
    read.clear()
    assert np.array_equal(source.read((slice(2, 3), slice(20, 40), slice(0, 85))), GREY[2:3, 20:40])
    assert len([a for a in read if a and a[0] in sizes_of_strips]) == 2


@pytest.mark.parametrize("part", [0.05, 0.3, 0.7, 0.97])
@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"imagej": True}, {"metadata": None, "tile": (32, 32)}]
)
def test_a_truncated_tiff(tmp_path, part, options):
    content = tiff(tmp_path / "a.tif", **options).read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: int(len(content) * part)])
    assert_refused(tmp_path, tmp_path / "a.tif", "truncated|damaged")


def test_a_truncated_slice(tmp_path):
    folder = slices(tmp_path / "s", compression="zlib")
    path = folder / "slice_7.tif"
    path.write_bytes(path.read_bytes()[:4000])
    assert_refused(tmp_path, folder, "slice_7.tif.*(truncated|damaged)")


def test_a_tiff_with_damaged_voxels(tmp_path):
    source = tiff(tmp_path / "a.tif", compression="zlib")
    with tifffile.TiffFile(source) as tif:
        place = tif.pages[3].aspage().dataoffsets[0]
    content = bytearray(source.read_bytes())
    content[place : place + 40] = bytes(40)
    source.write_bytes(content)
    assert_refused(tmp_path, source, "page 3 cannot be decoded")


def test_slices_that_differ(tmp_path):
    folder = slices(tmp_path / "s")
    tiff(folder / "slice_8.tif", GREY[0, :60])
    assert_refused(tmp_path, folder, "slice_8.tif is 60 x 85 uint16 but slice_5.tif is 70 x 85 uint16")
    tiff(folder / "slice_8.tif", GREY[0].astype(np.uint8))
    assert_refused(tmp_path, folder, "slice_8.tif is 70 x 85 uint8 but")
    tiff(folder / "slice_8.tif", GREY[:2])
    assert_refused(tmp_path, folder, "slice_8.tif holds 2 pages")


def test_pages_that_differ(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for image in (GREY[0], GREY[1, :50]):
            writer.write(image, photometric="minisblack")
    assert_refused(tmp_path, tmp_path / "a.tif", "50 x 85 uint16 and 70 x 85 uint16")


def test_a_folder_without_images(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a.txt").write_text("x")
    assert_refused(
        tmp_path, tmp_path / "s", "holds nothing that tomostat reads; expected one of: .*folders of TIFF slices"
    )


def test_real_stack(data, tmp_path):
    info = ingest_volume(data / "nmc_phases.tif", tmp_path / "v.zarr", spacing=0.3)
    assert info.shape == (251, 301, 301)
    assert np.array_equal(open_volume(info.path).values, tifffile.imread(data / "nmc_phases.tif"))


def test_real_slice_and_a_colour_image(data, tmp_path):
    info = ingest_volume(data / "nmc_fullres.tif", tmp_path / "v.zarr", spacing=0.05)
    assert info.shape == (1, 655, 1024)
    with pytest.raises(ValueError, match="colour image"):
        probe(data / "sand_ct_truth.tif", spacing=1)
