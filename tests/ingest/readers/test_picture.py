"""PNG and JPEG: colours, orientation, folders of slices."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np

from sources import GREY, assert_refused, pictures, png
from tomostat.ingest import IngestOptions, probe

IMAGE = (GREY[0] // 300).astype(np.uint8)


def test_grey_saved_as_colours_is_grey(tmp_path):
    for name, channels in (("rgb", [IMAGE] * 3), ("rgba", [*[IMAGE] * 3, np.full_like(IMAGE, 255)])):
        source = probe(png(tmp_path / f"{name}.png", np.stack(channels, axis=-1)), spacing=1)
        assert np.array_equal(source.read_all()[0], IMAGE)


def test_colours_are_refused_unless_one_is_chosen(tmp_path):
    path = png(tmp_path / "a.png", np.stack([IMAGE, IMAGE // 2, IMAGE // 3], axis=-1))
    assert_refused(tmp_path, path, r"a colour image \(RGB\)")
    assert np.array_equal(probe(path, spacing=1, options=IngestOptions(channel=1)).read_all()[0], IMAGE // 2)


def test_a_jpeg_that_lies_on_its_side(tmp_path):
    smooth = np.add.outer(np.arange(64), 2 * np.arange(48)).astype(np.uint8)
    content = imagecodecs.jpeg_encode(smooth, level=100)
    tags = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 274, 3, 1, 6, 0, 0)
    exif = b"\xff\xe1" + struct.pack(">H", 8 + len(tags)) + b"Exif\0\0" + tags
    (tmp_path / "a.jpg").write_bytes(content[:2] + exif + content[2:])
    shown = probe(tmp_path / "a.jpg", spacing=1).read_all()[0]
    assert np.abs(shown.astype(int) - np.rot90(smooth, -1)).max() <= 2


def test_a_damaged_picture_and_slices_that_differ(tmp_path):
    path = png(tmp_path / "a.png", IMAGE)
    path.write_bytes(path.read_bytes()[:200])
    assert_refused(tmp_path, path, "a.png is a damaged picture")
    folder = pictures(tmp_path / "s")
    png(folder / "b7.PNG", GREY[0, :20])
    assert_refused(tmp_path, folder, r"b7.PNG has pixels uint16 \(20, 85\); expected uint16 \(70, 85\) as b5.PNG")
