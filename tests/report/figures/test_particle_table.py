"""The particle table on the page follows what the columns say of themselves."""

from __future__ import annotations

import json

import numpy as np

from tables import declared, replaced, study
from tomostat.report.figures.particle_table import particle_json


def test_headings_units_and_digits_are_those_declared() -> None:
    table = study(particles=3)
    data, head = particle_json(table, 5)
    found = {heading: unit for heading, unit, _ in head}
    shown = [name for name, measure in declared().items() if "report" in measure.shown and name in table]
    headings = [table[name].attrs["heading"] for name in shown if name != "fully_detached"]  # none of them is
    assert list(found) == headings
    assert found["volume"] == "µm³"
    assert found["diameter"] == "µm"
    assert found["detachment"] == ""
    listed = json.loads(data)
    assert len(listed["rows"]) == 5
    assert len(listed["columns"]) == len(listed["rows"][0]) == len(head)
    digits = [declared()[name].digits for name in shown if name != "fully_detached"]
    assert [column["digits"] for column in listed["columns"]] == digits
    volume = listed["rows"][0][list(found).index("volume")]
    assert volume == round(float(table["volume"][0]), declared()["volume"].digits)


def test_unknown_numbers_are_null_and_unknown_columns_are_left_out() -> None:
    table = study(particles=3)
    depth = table["depth"].values.copy()
    depth[0] = np.nan
    table = replaced(table, depth=depth, sphericity=np.full(depth.size, np.nan))
    data, head = particle_json(table, 3)
    headings = [heading for heading, _, _ in head]
    assert "sphericity" not in headings
    column = [row[headings.index("depth")] for row in json.loads(data)["rows"]]
    assert column[0] is None
    assert None not in column[1:]


def test_a_column_of_a_plugin_is_shown() -> None:
    table = study(particles=2)
    attributes = {"units": "micrometer^2", "long_name": "a <new> column", "shown": ["report"], "heading": "new <x>"}
    new = ("particle", np.arange(16.0), attributes)
    data, head = particle_json(table.assign(new=new), 4)
    assert head[-1] == ("new &lt;x&gt;", "µm²", False)
    assert [row[-1] for row in json.loads(data)["rows"]] == [0.0, 1.0, 2.0, 3.0]
