"""The curve of density over state of charge is the one that measure uses."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tables import replaced, study
from tomostat.measure.interior.density import NMC811
from tomostat.report.figures.charge import draw_charge, read_curve


def test_the_shipped_curve_and_a_curve_of_ones_own(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_curve(None), [NMC811.charge, NMC811.density])
    path = tmp_path / "own.csv"
    path.write_text("# mine\n0,1.5\n0.5,1.2\n1,1.4\n")
    np.testing.assert_array_equal(read_curve(str(path)), [[0, 0.5, 1], [1.5, 1.2, 1.4]])


def test_particles_stand_on_the_curve_where_their_charge_is_known() -> None:
    table = study(particles=4)
    count = table.sizes["particle"]
    table = replaced(table, electron_density=np.full(count, 1.36), soc=np.full(count, 0.2))
    names = list(dict.fromkeys(table["condition"].values.tolist()))
    left, right = draw_charge(table, names, read_curve(None), True).axes
    assert len(left.collections) == len(names)
    assert right.patches
    left, _ = draw_charge(table, names, read_curve(None), False).axes
    assert not left.collections
