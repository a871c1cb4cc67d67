"""Statistics of whole tables: values, intervals, groups, odd studies."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tables import replaced, study
from tomostat.analyze import AnalyzeOptions, analyze_particles

FEW = AnalyzeOptions(resamples=100)


@pytest.fixture(scope="module")
def results() -> xr.Dataset:
    return analyze_particles(study(1, fields=5), options=AnalyzeOptions(resamples=300))


def test_results_are_documented(results: xr.Dataset) -> None:
    for name, variable in results.variables.items():
        assert "units" in variable.attrs, name
        assert variable.attrs.get("long_name"), name
    documented = analyze_particles.__doc__ or ""
    for name in results.data_vars:
        assert f"``{name}``" in documented, name


def test_results_of_a_plain_study(results: xr.Dataset) -> None:
    assert results["condition"].values.tolist() == ["0.1C", "1C"]
    assert results["pair"].values.tolist() == ["1C - 0.1C"]
    summary, interval = results["summary"], results["summary_interval"]
    known = np.isfinite(summary)
    assert known.all()
    assert (interval.sel(bound="lower") <= summary).all()
    assert (interval.sel(bound="upper") >= summary).all()
    mean = summary.sel(size="all", statistic="mean")
    assert mean.values == pytest.approx([0.3, 0.45], abs=0.07)
    difference = results["difference"].sel(size="all", statistic="mean").item()
    assert difference == pytest.approx(mean.values[1] - mean.values[0])
    spread = summary.sel(statistic="spread")
    assert (spread.sel(size="small") > spread.sel(size="big")).all()
    assert (results["size_difference"].sel(statistic="spread") > 0).all()
    assert results["permutations"].item() == 252
    assert results["permuted"].item() == "fields"
    rho = results["correlation"].sel(quantity="resistance_mean")
    assert (rho > 0.8).all()
    np.testing.assert_allclose(np.trapezoid(results["density"], results["degree"], axis=-1), 1, rtol=1e-6)
    np.testing.assert_allclose(results["histogram"].sum("bin") / 20, 1)


def test_equal_seeds_give_equal_results(results: xr.Dataset) -> None:
    again = analyze_particles(study(1, fields=5), options=AnalyzeOptions(resamples=300))
    xr.testing.assert_identical(again, results)
    other = analyze_particles(study(1, fields=5), options=AnalyzeOptions(resamples=300, seed=1))
    assert not other["summary_interval"].equals(results["summary_interval"])
    assert other["summary"].equals(results["summary"])


@pytest.mark.slow
def test_more_samples_narrow_the_interval_of_the_mean() -> None:
    width = [
        np.ptp(analyze_particles(study(2, samples=n), options=FEW)["summary_interval"].values[0, 0, 0]) for n in (2, 6)
    ]
    assert width[1] < width[0]


def test_no_detachment_at_all() -> None:
    table = study(particles=12)
    table = replaced(table, detachment=np.full(table.sizes["particle"], np.nan))
    found = analyze_particles(table, options=FEW)
    assert int(found["n_particles"].sum()) == 0
    assert np.isnan(found["summary"]).all()
    assert np.isnan(found["p_value"]).all()
    assert np.isfinite(found["quantity_median"].sel(size="all", quantity="volume")).all()


@pytest.mark.slow
def test_border_options() -> None:
    table = study(particles=20)
    border = table["touches_border"].values
    kept = analyze_particles(table, options=AnalyzeOptions(resamples=100, border="kept"))
    assert int(kept["n_particles"].sel(size="all").sum()) == border.size
    excluded = analyze_particles(table, options=AnalyzeOptions(resamples=100, border="excluded"))
    assert int(excluded["n_border"].sel(size="all").sum()) == border.sum()
    plain = analyze_particles(table, options=FEW)
    assert plain["summary"].equals(excluded["summary"])
    assert any("no border weights" in note for note in plain.attrs["notes"])
    weight = 1 + table["equivalent_diameter"].values / 10
    table = replaced(table, border_weight=np.where(border, np.nan, weight))
    weighted = analyze_particles(table, options=FEW)
    inside = ~border & (table["condition"].values == "1C")
    expected = np.average(table["detachment"].values[inside], weights=weight[inside])
    assert weighted["summary"].sel(condition="1C", size="all", statistic="mean").item() == pytest.approx(expected)
    assert not any("no border weights" in note for note in weighted.attrs["notes"])


def test_small_tables() -> None:
    table = study(particles=20)
    table = replaced(table, touches_border=np.zeros(table.sizes["particle"], bool))
    none = analyze_particles(table.isel(particle=slice(0, 0)), options=FEW)
    assert none.sizes["condition"] == 0
    assert none.attrs["notes"] == ["No particles: there is nothing to analyze."]
    one = analyze_particles(table.isel(particle=slice(0, 1)), options=FEW)
    summary = one["summary"].sel(size="all").squeeze()
    assert summary.sel(statistic="mean").item() == pytest.approx(table["detachment"].values[0])
    assert np.isnan(summary.sel(statistic="spread"))
    assert np.isnan(one["summary_interval"]).all()
    field = analyze_particles(table.isel(particle=slice(0, 20)), options=FEW)
    assert field.sizes["pair"] == 0
    assert np.isfinite(field["summary_interval"].sel(size="all")).all()
    assert any("A single field of view" in note for note in field.attrs["notes"])
    assert any("A single condition" in note for note in field.attrs["notes"])
