"""Options of synthetic electrodes."""

from __future__ import annotations

import pytest

from tomostat.phantom.options import PhantomOptions


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shape": (0, 8, 8)}, "shape"),
        ({"shape": (8, 8)}, "shape"),
        ({"spacing": (0.2, 0.2, -1.0)}, "spacing"),
        ({"spacing": (0.2, float("nan"), 0.2)}, "spacing"),
        ({"seed": -1}, "seed"),
        ({"diameters": (9.0, 5.0)}, "diameters"),
        ({"diameters": (0.5, 5.0)}, "at least 4 voxels"),
        ({"distribution": "normal"}, "distribution"),
        ({"active_fraction": 0.8}, "active_fraction"),
        ({"cbd_fraction": 0.7}, "cbd_fraction"),
        ({"touching": 1.5}, "touching"),
        ({"detachment_mean": -0.1}, "detachment_mean"),
        ({"gap_width": (0.1, 0.5)}, "gap_width"),
        ({"film_thickness": 0.1}, "film_thickness"),
        ({"collector": 60.0}, "collector and headspace"),
        ({"headspace": -1.0}, "headspace"),
        ({"collector": 20.0, "headspace": 20.0}, "collector and headspace"),
        ({"depth_axis": 3}, "depth_axis"),
        ({"contrast": "damp"}, "contrast"),
        ({"dtype": "float32"}, "dtype"),
        ({"grey_levels": (0.9, 0.1)}, "grey_levels"),
        ({"blur": -1.0}, "blur"),
        ({"noise": -0.1}, "noise"),
    ],
)
def test_options_that_make_no_electrode_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        PhantomOptions(**wrong)
