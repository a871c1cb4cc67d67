"""What a watershed makes of a slice beside the particles of a study."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reports import SPACING, Written
from tomostat.phase import Phase
from tomostat.report.fields import Plane
from tomostat.report.figures.conventional import SHOWN, compare, draw_comparison, largest_different


def cracked_and_touching() -> Plane:
    """A cracked disc of label 70000, two discs that touch along a flat face (3, 4), and a plain one (5)."""
    y, x = np.indices((90, 160))
    labels = np.zeros((90, 160), np.uint32)
    for label, (cy, cx), radius in ((70000, (45, 30), 24), (3, (45, 84), 20), (4, (45, 110), 20), (5, (20, 145), 10)):
        disc = (y - cy) ** 2 + (x - cx) ** 2 <= radius**2
        disc &= ~((x > 96) & (label == 3)) & ~((x <= 96) & (label == 4))
        labels[disc] = label
    phases = np.where(labels > 0, Phase.ACTIVE, Phase.PORE).astype(np.uint8)
    phases[(abs(x - 30) < 3) & (labels == 70000)] = Phase.PORE
    return Plane(phases * np.uint8(100), phases, labels, SPACING[1:], ("y", "x"), 2.0)


def test_cracked_particles_split_and_touching_ones_merge() -> None:
    found = compare("one", cracked_and_touching())
    assert found.sections == 4
    (split,) = found.split
    assert np.count_nonzero(found.labels == split) == np.count_nonzero(cracked_and_touching().labels == 70000)
    assert len(found.merged) in (0, 2)  # where the neck is deep the watershed parts them
    assert found.area.sum() == np.count_nonzero(found.labels)


def test_the_largest_are_shown_side_by_side() -> None:
    found = compare("one", cracked_and_touching())
    shown = largest_different([found, replace(found, field="two")] * 3)
    assert len(shown) == SHOWN
    assert all(label == found.split[0] for _, label in shown)
    figure = draw_comparison(shown[:2])
    assert [len(axes.images) for axes in figure.axes] == [1, 1, 2, 2, 2, 2]
    assert largest_different([]) == []


def test_particles_that_are_seen_whole_come_first() -> None:
    whole = compare("whole", cracked_and_touching())
    plane = cracked_and_touching()
    cut = compare("cut", replace(plane, phases=plane.phases[30:], labels=plane.labels[30:], grey=plane.grey[30:]))
    assert cut.at_border >= set(cut.split)
    assert [one.field for one, _ in largest_different([cut, whole])][: len(whole.split) + len(whole.merged)] == [
        "whole"
    ] * (len(whole.split) + len(whole.merged))


def test_a_slice_without_phases_is_refused() -> None:
    with pytest.raises(ValueError, match="no phases"):
        compare("one", replace(cracked_and_touching(), phases=None))


def test_the_page_counts_them(written: Written) -> None:
    table = pd.read_csv(written.page.parent / "figures" / "conventional.csv")
    assert table["field"].tolist() == ["slow-0", "fast-0"]  # the two that are pictured
    assert (table["merged by watershed"] > 0).all()  # balls that touch, and overlap in part
    assert f"a watershed of the distance map splits {table['split by watershed'].sum()} (" in page_text(written)


def page_text(written: Written) -> str:
    return " ".join(written.page.read_text(encoding="utf-8").split())
