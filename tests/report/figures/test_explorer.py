"""The data of the linked plots follow what the columns say of themselves."""

from __future__ import annotations

import numpy as np

from tables import declared, replaced, study
from tomostat.report.figures.explorer import described, groups, listed, plain, resistance_top, script_json


def test_headings_units_and_digits_are_those_declared() -> None:
    table = study(particles=3)
    found = {name: described(table[name]) for name in listed(table)}
    shown = [name for name, measure in declared().items() if "report" in measure.shown and name in table]
    assert sorted(name for name, column in found.items() if column["listed"]) == sorted(shown)
    assert set(list(found)[: len(shown)]) == set(shown)
    leading = ["label", "field", "condition", "volume", "detachment", "resistance_mean"]
    assert list(found)[:6] == leading  # names, then what the plots show at first
    assert "fully_detached" not in found  # none of them is
    assert found["volume"]["unit"] == "µm³"
    assert found["detachment"]["unit"] == ""
    assert found["detachment"]["definition"] == declared()["detachment"].definition
    assert found["field"]["text"]


def test_unknown_numbers_are_null_and_unknown_columns_are_left_out() -> None:
    table = study(particles=3)
    depth = table["depth"].values.copy()
    depth[0] = np.nan
    table = replaced(table, depth=depth, sphericity=np.full(depth.size, np.nan))
    assert "sphericity" not in listed(table)
    values = plain(table["depth"].to_numpy())
    assert values[0] is None
    np.testing.assert_allclose(values[1:], depth[1:], rtol=1e-4)
    assert plain(np.array([1.23456789e-7])) == [1.2346e-7]
    assert plain(np.array([True])) == [True]


def test_a_column_of_a_plugin_is_shown() -> None:
    table = study(particles=2)
    attributes = {"units": "micrometer^2", "long_name": "a <new> column", "shown": ["report"], "heading": "new <x>"}
    table = table.assign(new=("particle", np.arange(16.0), attributes))
    assert described(table["new"])["unit"] == "µm²"
    assert "<" not in script_json(described(table["new"]))


def test_particles_of_an_unknown_condition_have_a_group() -> None:
    table = study(particles=2)
    names = list(dict.fromkeys(table["condition"].values.tolist()))
    assert set(groups(table, names)) == {0, 1}
    assert set(groups(table, [names[0], "unknown"])) == {0, 1}


def test_scale_of_the_resistance() -> None:
    assert resistance_top(study(particles=2)[["volume"]]) == 1.0
    assert resistance_top(study(particles=9)) > 0.1
