"""Lengths in all units that files use."""

from __future__ import annotations

import pytest

from tomostat.ingest.spacing import micrometers


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [(5, "µm", 5), ("2", "Microns", 2), (50, "nm", 0.05), (1, "\\u00B5m", 1), (3, b"mm", 3000), (1, "Meter", 1e6),
     (2, "M", 2e6), (1, None, None), (1, "pixel", None), (0, "um", None), (-1, "um", 1), ("x", "um", None),
     (float("nan"), "um", None), (float("inf"), "um", None)],
)  # fmt: skip
def test_units(value, unit, expected):
    assert micrometers(value, unit) == (pytest.approx(expected) if expected else None)
