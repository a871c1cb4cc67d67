"""Views of a volume: what is turned comes back, and what cannot be seen from the side is refused."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from tomostat.detect import DetectOptions
from tomostat.pipeline import check_inputs
from tomostat.study import study_of_volume
from tomostat.views import VIEWS, View, check_views


@pytest.mark.parametrize("name", VIEWS)
def test_boxes_and_images_turn_together(name):
    view, image = View(name), np.arange(4 * 5 * 6).reshape(4, 5, 6)
    turned = view.turn(image)
    assert turned.shape == view.turned(image.shape)
    assert view.in_volume(turned.shape) == image.shape
    np.testing.assert_array_equal(view.turn_back(turned), image)
    box = slice(1, 3), slice(0, 4), slice(2, 5)
    np.testing.assert_array_equal(view.turn(image[box]), turned[view.turned(box)])


def test_views_need_length_along_every_axis_and_voxels_of_about_one_size():
    cubic = (0.2, 0.2, 0.2)
    check_views(("z",), (1, 20, 20), (1.0, 0.1, 0.1))
    check_views(("z", "y", "x"), (48, 48, 48), (0.25, 0.2, 0.2))
    for shape, axis in (((1, 500, 500), "z"), ((500, 47, 500), "y"), ((500, 500, 20), "x")):
        with pytest.raises(ValueError, match=f"along {axis} .*give --detect.views z"):
            check_views(("z", "y"), shape, cubic)
    with pytest.raises(ValueError, match=r"they are 1 x 0.2 x 0.2 micrometers"):
        check_views(("z", "y", "x"), (100, 100, 100), (1.0, 0.2, 0.2))


def test_a_thin_volume_is_refused_before_any_work(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((7, 60, 60), "u2"), photometric="minisblack")
    study = study_of_volume(tmp_path / "a.tif", tmp_path / "out", spacing=0.2)
    check_inputs(study)
    with pytest.raises(ValueError, match=r"views z y need 48 voxels .* has 7 along z"):
        check_inputs(study.with_options(detect=DetectOptions(views=("z", "y"))))
    assert not (tmp_path / "out").exists()
