"""What is read of a particle table, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tables import particle_table, replaced, study
from tomostat.analyze import AnalyzeOptions, analyze_particles
from tomostat.analyze.table import read_table

FEW = AnalyzeOptions(resamples=100)


@pytest.mark.parametrize("given", [None, "", np.nan])
def test_a_study_without_condition(given: object) -> None:
    count = 30
    rng = np.random.default_rng(0)
    columns = {"equivalent_diameter": rng.uniform(5, 15, count), "detachment": rng.random(count)}
    bare = analyze_particles(particle_table(columns), options=FEW)
    assert bare["condition"].values.tolist() == ["unknown"]
    columns["condition"] = np.full(count, given, object)
    found = analyze_particles(particle_table(columns), options=FEW)
    xr.testing.assert_identical(found, bare)
    columns["condition"][:15] = "1C"
    mixed = analyze_particles(particle_table(columns), options=FEW)
    assert mixed["condition"].values.tolist() == ["1C", "unknown"]
    assert any("have no condition" in note for note in mixed.attrs["notes"])


def test_refused_input() -> None:
    table = study(particles=5)
    with pytest.raises(TypeError, match="particles is a list"):
        analyze_particles([], options=FEW)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="lacks detachment"):
        analyze_particles(table.drop_vars("detachment"), options=FEW)
    with pytest.raises(ValueError, match=r"holds 1\.5; expected values from 0 to 1"):
        analyze_particles(replaced(table, detachment=np.full(table.sizes["particle"], 1.5)), options=FEW)
    with pytest.raises(ValueError, match="border_weight"):
        analyze_particles(replaced(table, border_weight=np.zeros(table.sizes["particle"])), options=FEW)
    deep = (("particle", "axis"), np.zeros((table.sizes["particle"], 3)), table["depth"].attrs)
    with pytest.raises(ValueError, match=r"column 'depth' has dims"):
        analyze_particles(table.assign(depth=deep), options=FEW)


def test_quantities_are_the_columns_shown_in_statistics() -> None:
    table = study(particles=5)
    shown = [name for name, variable in table.data_vars.items() if "statistics" in variable.attrs["shown"]]
    assert {"volume", "depth", "resistance_mean"} <= set(shown)
    assert list(read_table(table, FEW).quantities) == shown
    found = analyze_particles(table, options=FEW)
    assert found["quantity"].values.tolist() == shown
    assert found["quantity_units"].values.tolist() == [table[name].attrs["units"] for name in shown]
    assert found["quantity_heading"].values.tolist() == [table[name].attrs["heading"] for name in shown]


def test_a_column_of_a_plugin_is_analyzed() -> None:
    """Nothing but its attributes makes a column part of the statistics."""
    table = study(particles=12)
    attributes = {"units": "micrometer", "long_name": "twice the depth", "shown": ["statistics"], "heading": "double"}
    found = analyze_particles(table.assign(twice=("particle", 2 * table["depth"].values, attributes)), options=FEW)
    twice, once = (found.sel(quantity=name) for name in ("twice", "depth"))
    np.testing.assert_allclose(twice["quantity_median"], 2 * once["quantity_median"])
    np.testing.assert_array_equal(twice["correlation"], once["correlation"])
    assert twice["quantity_heading"].item() == "double"
