"""VIA files."""

from __future__ import annotations

import numpy as np
import pytest

from annotation_files import SQUARE, write_via, write_via_shapes
from tomostat.annotations import read_annotations


@pytest.mark.parametrize("version", [1, 2])
def test_via_polygon(folder, version):
    inner = [[14.0, 14.0], [14.0, 18.0], [18.0, 18.0]]
    (got,) = read_annotations(write_via(folder, [(inner, "p"), (SQUARE, "p")], version=version))
    assert got.name == "a.tif"
    assert got.labels.max() == 2
    assert np.count_nonzero(got.labels) == 20 * 20
    assert got.labels[15, 17] != got.labels[25, 25] != 0  # the small one stays on top


def test_other_shapes_cover_what_they_describe(folder):
    rectangle = {"name": "rect", "x": 10, "y": 5, "width": 20, "height": 8}
    circle = {"name": "circle", "cx": 60, "cy": 20, "r": 9.5}
    ellipse = {"name": "ellipse", "cx": 30, "cy": 40, "rx": 14.5, "ry": 4.5, "theta": 0}
    (got,) = read_annotations(write_via_shapes(folder, [rectangle, circle, ellipse], ["p"] * 3))
    y, x = np.ogrid[:60, :80]
    boxed = (y >= 5) & (y <= 13) & (x >= 10) & (x <= 30)
    round_one = (y - 20) ** 2 + (x - 60) ** 2 < 9.5**2
    flat = ((y - 40) / 4.5) ** 2 + ((x - 30) / 14.5) ** 2 < 1
    assert got.labels.max() == 3
    assert np.array_equal(got.labels > 0, boxed | round_one | flat)


def test_unknown_shape_is_refused_with_file_and_region(folder):
    path = write_via_shapes(folder, [{"name": "point", "cx": 3, "cy": 4}], ["p"])
    with pytest.raises(ValueError, match=r"via\.json, a\.tif, region 0: shape is 'point'; expected polygon"):
        read_annotations(path)


def test_classes_of_check_boxes(folder):
    path = write_via(folder, [(SQUARE, {"particle": True, "crack": False}), (SQUARE, {"Ignore": True})])
    (got,) = read_annotations(path, classes=["particle"])
    assert got.labels.max() == 1
    with pytest.raises(ValueError, match="region 0: class is 'crack'"):
        read_annotations(write_via(folder, [(SQUARE, {"crack": True})]), classes=["particle"])
