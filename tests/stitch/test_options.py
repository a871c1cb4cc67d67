"""Options of the stitch stage."""

from __future__ import annotations

import pytest

from tomostat.stitch.options import StitchOptions


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"min_iou": 0.0}, "min_iou"),
        ({"min_containment": 1.5}, "min_containment"),
        ({"max_gap": -1}, "max_gap"),
        ({"min_slices": 0}, "min_slices"),
        ({"margin": 100}, "margin"),
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        StitchOptions(**wrong)  # type: ignore[arg-type]
