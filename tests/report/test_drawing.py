"""Outlines and colours of labels."""

from __future__ import annotations

import numpy as np
import pytest

from tomostat.report.drawing import label_colours, outlines


def test_outlines_lie_around_their_labels() -> None:
    labels = np.zeros((30, 40), int)
    labels[5:15, 10:30] = 3
    lines, owners = outlines(labels, (-1.0, 79.0, 59.0, -1.0))
    assert owners == [3]
    assert lines[0].min(axis=0) == pytest.approx([19, 9], abs=0.1)
    assert lines[0].max(axis=0) == pytest.approx([59, 29], abs=0.1)


def test_colours_by_detachment_or_label() -> None:
    labels = np.array([0, 1, 2, 5])
    by_degree = label_colours(labels, {1: 0.0, 2: 1.0, 5: np.nan})
    assert by_degree.shape == (6, 4)
    assert len({tuple(by_degree[i]) for i in (1, 2, 5)}) == 3
    by_label = label_colours(labels, {1: np.nan})
    assert len({tuple(by_label[i]) for i in (1, 2, 5)}) == 3
