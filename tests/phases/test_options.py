"""Options of the phases stage."""

from __future__ import annotations

import pytest

from tomostat.phases.options import PhasesOptions


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"phases": 4}, "phases is 4; expected 2 or 3"),
        ({"smoothing": -0.1}, "smoothing is -0.1"),
        ({"shading_scale": -1.0}, "shading_scale is -1.0"),
        ({"thresholds": (1.0,)}, "2 ascending"),
        ({"thresholds": (2.0, 1.0)}, "2 ascending"),
        ({"thresholds": (1.0, 2.0), "collector": True}, "3 ascending"),
        ({"thresholds": (1.0, 2.0), "phases": 2}, "1 ascending"),
    ],
)
def test_options_out_of_range_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        PhasesOptions(**wrong)


def test_as_many_thresholds_as_phases_need():
    assert PhasesOptions(thresholds=(1.0, 2.0, 3.0), collector=True).thresholds == (1.0, 2.0, 3.0)
    assert PhasesOptions(thresholds=(1.0,), phases=2).thresholds == (1.0,)
