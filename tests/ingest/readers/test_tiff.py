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
from tomostat.ingest import IngestOptions, ingest_volume, open_source, probe
from tomostat.ingest.folders import natural_order
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
    assert_refused(tmp_path, folder, "slice_8.tif is 60 x 85 uint16 in page 0 but slice_5.tif is 70 x 85 uint16")
    tiff(folder / "slice_8.tif", GREY[0].astype(np.uint8))
    assert_refused(tmp_path, folder, "slice_8.tif is 70 x 85 uint8 in page 0 but")
    tiff(folder / "slice_8.tif", GREY[:2])
    assert_refused(tmp_path, folder, "slice_8.tif holds 2 pages")


def test_pages_that_differ(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for image in (GREY[0], GREY[1, :50]):
            writer.write(image, photometric="minisblack")
    assert_refused(tmp_path, tmp_path / "a.tif", "a.tif is 50 x 85 uint16 in page 1 but the first one is 70")


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


@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"rowsperstrip": 7}, {"imagej": False, "tile": (16, 16)}]
)
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "f4"])
def test_white_is_zero(tmp_path, options, dtype):
    """Bright values come out large, whatever the type; the kind says that they were turned round."""
    bright = (GREY // 300).astype(dtype)
    stored = {"u": 2 ** (8 * bright.itemsize) - 1, "i": -1, "f": 0}[bright.dtype.kind] - bright
    tifffile.imwrite(tmp_path / "a.tif", stored.astype(dtype), photometric="miniswhite", **options)
    source = probe(tmp_path / "a.tif", spacing=1)
    assert source.kind == "TIFF, white is zero"
    assert np.array_equal(source.read_all(), bright)


@pytest.mark.parametrize("photometric", ["miniswhite", "minisblack"])
def test_a_mask_of_bits_marks_what_it_marked(tmp_path, photometric):
    """tifffile writes masks as "white is zero"."""
    tifffile.imwrite(tmp_path / "a.tif", GREY > 30000, photometric=photometric)
    assert np.array_equal(open_source(tmp_path / "a.tif").read_all(), GREY > 30000)


def test_a_turned_page(tmp_path):
    box = (slice(1, 3), slice(10, 30), slice(5, 80))
    for kind in ({}, {"compression": "zlib"}):
        tiff(tmp_path / "a.tif", np.rot90(GREY, -1, (1, 2)), extratags=[(274, 3, 1, 8, False)], metadata=None, **kind)
        source = probe(tmp_path / "a.tif", spacing=1)
        assert source.shape == SHAPE
        assert np.array_equal(source.read(box), GREY[box])


def test_channels_and_times_of_hyperstacks(tmp_path):
    stack = np.arange(2 * 5 * 3 * 20 * 24, dtype=np.uint16).reshape(2, 5, 3, 20, 24)
    for name, options in (("a.tif", {"imagej": True}), ("a.ome.tif", {}), ("p.ome.tif", {"compression": "zlib"})):
        path = tiff(tmp_path / name, stack, metadata={"axes": "TZCYX"}, **options)
        assert_refused(tmp_path, path, "time 2|channel 3")
        source = probe(path, spacing=1, options=IngestOptions(channel=2, time=1))
        assert np.array_equal(source.read_all(), stack[1, :, 2])


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_colour_of_a_picture(tmp_path, planar, compression):
    rgb = np.stack([GREY[0], GREY[1], GREY[2]], axis=-1 if planar == "contig" else 0)
    options = {"compression": compression, "rowsperstrip": 8}
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb", planarconfig=planar, **options)
    source = probe(tmp_path / "a.tif", spacing=1, options=IngestOptions(channel=1))
    assert np.array_equal(source.read_all()[0], GREY[1])


def ome_set(folder, planes, size_z, name="s_{}.ome.tif", names=None):
    """Files of one plane each, whose XML names all of them."""
    ny, nx = planes[0].shape
    listed = "".join(
        f'<TiffData IFD="0" FirstZ="{z}" PlaneCount="1"><UUID FileName="{names or name.format(z)}">urn:uuid:{z}</UUID>'
        "</TiffData>"
        for z in range(size_z)
    )
    folder.mkdir()
    for z, plane in enumerate(planes):
        xml = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{z}"><Image ID="Image:0">'
            f'<Pixels DimensionOrder="XYCZT" SizeX="{nx}" SizeY="{ny}" SizeZ="{size_z}" SizeC="1" SizeT="1" '
            f'PhysicalSizeX="50" PhysicalSizeXUnit="nm" PhysicalSizeY="50" PhysicalSizeYUnit="nm" PhysicalSizeZ="0.2">'
            f"{listed}</Pixels></Image></OME>"
        )
        tiff(folder / name.format(z), plane, description=xml, metadata=None)
    return folder


def test_a_set_of_ome_files_from_any_of_them_and_from_the_folder(tmp_path):
    folder = ome_set(tmp_path / "s", GREY, len(GREY))
    for path in (folder / "s_0.ome.tif", folder / "s_3.ome.tif", folder):
        source = probe(path)
        assert source.spacing == pytest.approx((0.2, 0.05, 0.05))
        assert np.array_equal(source.read((slice(2, 5), slice(0, 9), slice(3, 60))), GREY[2:5, :9, 3:60])


def test_a_set_of_which_a_file_is_missing_or_elsewhere(tmp_path):
    folder = ome_set(tmp_path / "s", GREY[:4], 6)
    assert_refused(tmp_path, folder / "s_0.ome.tif", "one file of a set, of which s_4.ome.tif is missing")
    far = ome_set(tmp_path / "t", GREY[:1], 2, names="../secret.tif")
    assert_refused(tmp_path, far / "s_0.ome.tif", "links to '../secret.tif', outside its folder")


def test_pages_against_ome_xml(tmp_path):
    path = tiff(tmp_path / "a.ome.tif", metadata={"axes": "ZYX"}, compression="zlib")
    with tifffile.TiffFile(path) as tif:
        xml = tif.ome_metadata
    for planes, words in ((9, "lists 9 planes, of which 3 are missing"), (4, "6 pages, of which its OME-XML lists 4")):
        changed = xml.replace('SizeZ="6"', f'SizeZ="{planes}"').replace('PlaneCount="6"', f'PlaneCount="{planes}"')
        tiff(path, description=changed, metadata=None)
        assert_refused(tmp_path, path, words)
        assert probe(path, spacing=1, options=IngestOptions(incomplete=True)).shape == SHAPE


def test_one_file_of_a_set_that_another_one_describes(tmp_path):
    xml = '<OME xmlns="x"><BinaryOnly MetadataFile="set.companion.ome" UUID="a"/></OME>'
    path = tiff(tmp_path / "a.ome.tif", GREY[0], description=xml, metadata=None)
    assert_refused(tmp_path, path, "one file of a set that 'set.companion.ome' describes; give the folder")
