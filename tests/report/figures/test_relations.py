"""Columns against the degree of detachment."""

from __future__ import annotations

import numpy as np
import pytest

from tables import study
from tomostat.report.figures.relations import axis_label, round_gap_resistance


def test_resistance_of_a_round_gap() -> None:
    """Closed form against numbers: a ball's surface in rings."""
    degree, mean, spread = round_gap_resistance()
    angle = (np.arange(20000) + 0.5) * np.pi / 20000
    area = np.sin(angle) / np.sin(angle).sum()
    for place in (10, 50, 99):
        edge = np.arccos(1 - 2 * degree[place])
        path = np.maximum(edge - angle, 0)
        expected = (area * path).sum()
        assert mean[place] == pytest.approx(expected, rel=1e-3)
        assert spread[place] == pytest.approx(np.sqrt((area * (path - expected) ** 2).sum()), rel=1e-3)


def test_axes_carry_heading_and_unit() -> None:
    table = study(particles=2)
    assert axis_label(table["depth"]) == "depth (µm)"
    assert axis_label(table["relative_intensity"]) == "relative intensity"
