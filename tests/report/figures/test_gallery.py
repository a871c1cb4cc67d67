"""Which particles are shown."""

from __future__ import annotations

import numpy as np

from tables import study
from tomostat.report.figures.gallery import exemplary


def test_exemplary_particles_are_different_and_whole() -> None:
    table = study(particles=15)
    groups = exemplary(table, set(table["field"].values), 4)
    rows = [row for _, group in groups for row in group]
    assert [heading for heading, _ in groups] == ["Least detached", "Typical", "Most detached"]
    assert len(set(rows)) == 12
    assert not table["touches_border"].values[rows].any()
    means = [table["detachment"].values[group].mean() for _, group in groups]
    assert means == sorted(means)
    assert exemplary(table, set(), 4) == []
    few = table.isel(particle=np.flatnonzero(~table["touches_border"].values)[:2])
    assert len(exemplary(few, set(table["field"].values), 4)) == 1
