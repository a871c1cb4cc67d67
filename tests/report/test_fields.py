"""What the report reads of a field's volume."""

from __future__ import annotations

import numpy as np
import pytest

from reports import SPACING, Written
from tomostat.report.fields import view_field


def test_view_reads_what_it_says(written: Written) -> None:
    fields = written.fields
    view = view_field("slow-0", fields["slow-0"])
    plane = view.plane(0)
    assert plane.grey.shape == (48, 56)
    assert plane.axes == ("y", "x")
    assert plane.pixel == SPACING[1:]
    assert 4 * SPACING[0] <= plane.place < 12 * SPACING[0]
    across = view.plane(1)
    assert across.grey.shape == (16, 56)
    assert across.axes == ("z", "x")
    assert sum(view.fractions.values()) == pytest.approx(1)
    place = np.array([4.0, 1.0, 8.0])
    labels = view.labels_around(place, 2.0)
    assert labels.shape == (9, 9, 11)  # cut at y = 0
    section = view.section(0, place, 2.0)
    np.testing.assert_array_equal(section.labels, labels[4])
    assert section.extent == pytest.approx((-2.0, 2.4, 2.6, -1.0))
    assert view.plane(0, 2.0).place == 2.0
