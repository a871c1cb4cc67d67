"""Options that are refused."""

from __future__ import annotations

import pytest

from tomostat.detect.options import DetectOptions, TrainOptions


def test_bad_options():
    with pytest.raises(ValueError, match="steps is 0"):
        TrainOptions(steps=0)
    with pytest.raises(ValueError, match="zoom is"):
        TrainOptions(zoom=(2.0, 1.0))
    for views in ((), ("y",), ("x", "z"), ("z", "y", "y"), ("z", "t")):
        with pytest.raises(ValueError, match=r"views is .*expected z, and after it y or x or both"):
            DetectOptions(views=views)
