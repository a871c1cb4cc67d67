"""What is told of a study whose truth is known; studies of which little can be said."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

from tables import replaced, study
from tomostat.analyze import AnalyzeOptions, analyze_particles
from tomostat.analyze.table import best_split

FEW = AnalyzeOptions(resamples=100)


@pytest.fixture(scope="module")
def found() -> xr.Dataset:
    table = study(3, conditions={"0.1C": 0.25, "1C": 0.55}, samples=4, fields=1, particles=60)
    return analyze_particles(table, options=AnalyzeOptions(resamples=300))


def told(results: xr.Dataset, words: str) -> str:
    """The only sentence that holds some words."""
    (one,) = [sentence for sentence in results.attrs["findings"] if words in sentence]
    return one


def test_the_planted_difference_and_scatter_are_found(found: xr.Dataset) -> None:
    assert found["p_value"].sel(size="all", statistic="mean").item() == pytest.approx(2 / 70)
    assert "p = 0.029 by permuting whole samples" in told(found, "1C - 0.1C, in percentage points")
    ratio, ends = found["dispersion_ratio"].sel(stratum="all conditions"), found["dispersion_ratio_interval"]
    assert 1.2 < ratio < 2.2  # planted: 1.3 / 0.8
    assert ends.sel(stratum="all conditions", bound="lower") > 1
    assert found["dispersion_p"].sel(stratum="all conditions") <= 0.05
    assert "may be due to chance" not in told(found, "Small particles scatter")
    assert found["effect_size"].sel(size="all", effect="dominance") > 0.5


def test_relations_of_measures(found: xr.Dataset) -> None:
    matrix, q = found["correlation_matrix"], found["correlation_q"]
    np.testing.assert_allclose(matrix, matrix.transpose("condition", "other", "measure"))
    assert (matrix.sel(measure="detachment", other="resistance_mean") > 0.8).all()
    assert (q.sel(measure="detachment", other="resistance_mean") < 0.05).all()
    assert (q >= found["correlation_p"] - 1e-12).where(np.isfinite(q), True).all()
    assert (q.sel(measure="depth", other="sphericity") > 0.05).all()
    volume = found["relation"].sel(covariate="volume", measure="volume", quantile=0.5)
    assert (volume.diff("step") > 0).where(np.isfinite(volume.diff("step")), True).all()
    ordered = found["relation"].diff("quantile")
    assert (ordered >= 0).where(np.isfinite(ordered), True).all()


def test_where_the_variance_lies_and_what_a_difference_needs(found: xr.Dataset) -> None:
    share = found["variance_share"].sel(measure="detachment")
    assert np.isfinite(share).values.tolist() == [True, False, True]  # one field per sample
    assert share.sum() == pytest.approx(1)
    assert any("One field per sample" in note for note in found.attrs["notes"])
    needed = found["needed"].sel(unit="sample")
    assert (needed.diff("true_difference") <= 0).all()
    assert needed.min() >= 4, "fewer samples cannot give p below 0.05"
    assert np.isnan(found["needed"].sel(unit="field")).all()
    several = analyze_particles(study(1, samples=1, fields=5, particles=20), options=FEW)
    assert np.isnan(several["needed"].sel(unit="sample")).all()
    assert any("variance between cells is unknown" in note for note in several.attrs["notes"])


def test_choices_and_what_they_change() -> None:
    table = study(2, particles=20)
    count = table.sizes["particle"]
    deeper = np.clip(table["detachment"].values[:, None] + [0.05, 0, -0.05], 0, 1)
    table = replaced(table, detachment_at=deeper, fully_detached=np.arange(count) == 3)
    results = analyze_particles(table, options=FEW)
    mean = results["sensitivity_mean"]
    first, third = ("detachment at a contact tolerance of 1, 2 and 3 voxels: " + number for number in "13")
    assert (mean.sel(variant=first) > mean.sel(variant=third)).all()
    as_analyzed = mean.sel(variant="as analyzed")
    np.testing.assert_allclose(as_analyzed, results["summary"].sel(size="all", statistic="mean"))
    used = results["sensitivity_particles"]
    assert used.sel(variant="without fully detached particles") == used.sel(variant="as analyzed") - 1
    assert {"particles at the border kept", "size split at 10 micrometers"} <= set(results["variant"].values)
    assert "choices of the analysis" in told(results, "1C - 0.1C, mean detachment under")


def test_a_split_found_from_the_distribution() -> None:
    rng = np.random.default_rng(0)
    diameter = np.concatenate([rng.normal(6, 0.6, 60), rng.normal(14, 1, 30)])
    assert 8 < best_split(diameter, np.ones(90)) < 11.5
    table = study(1, particles=10)
    found = analyze_particles(table, options=dataclasses.replace(FEW, size_split="found"))
    split = found["size_split"].item()
    small = (table["equivalent_diameter"] < split) & (table["condition"] == "1C") & ~table["touches_border"]
    assert found["n_particles"].sel(condition="1C", size="small") == small.sum()
    with pytest.raises(ValueError, match="fewer than two particle sizes"):
        analyze_particles(
            replaced(table, equivalent_diameter=np.full(80, 9.0)), options=AnalyzeOptions(size_split="found")
        )
    with pytest.raises(ValueError, match="size_split is 'seven'; expected a diameter above 0 micrometers, or found"):
        AnalyzeOptions(size_split="seven")  # type: ignore[arg-type]


def test_a_condition_without_particles() -> None:
    results = analyze_particles(study(particles=12), options=FEW, conditions=["pristine", "0.1C", "1C"])
    assert results["condition"].values.tolist() == ["pristine", "0.1C", "1C"]
    assert results["n_particles"].sel(condition="pristine", size="all") == 0
    assert np.isnan(results["difference"].sel(pair="1C - pristine")).all()
    assert np.isfinite(results["difference"].sel(pair="1C - 0.1C", size="all")).all()
    assert any("No particle of pristine" in note for note in results.attrs["notes"])


@pytest.mark.parametrize("value", [np.nan, 0.9])
def test_a_column_that_is_missing_or_constant(value: float) -> None:
    table = study(particles=12)
    table = replaced(table, sphericity=np.full(table.sizes["particle"], value))
    results = analyze_particles(table, options=FEW)
    assert np.isnan(results["correlation_matrix"].sel(measure="sphericity")).all()
    assert np.isnan(results["correlation_q"].sel(measure="sphericity")).all()
    assert np.isnan(results["variance_share"].sel(measure="sphericity")).all()
    assert np.isnan(results["relation"].sel(covariate="sphericity")).all()
    assert any("without any correlation: sphericity" in note for note in results.attrs["notes"])


@pytest.mark.parametrize("detachment", [1.0, 0.0])
def test_all_detached_or_all_intact(detachment: float) -> None:
    table = study(particles=12)
    table = replaced(table, detachment=np.full(table.sizes["particle"], detachment))
    results = analyze_particles(table, options=FEW)
    assert (results["summary"].sel(size="all", statistic="mean") == detachment).all()
    assert (results["difference"].sel(size="all", statistic="mean") == 0).all()
    assert (results["p_value"].sel(size="all", statistic="mean") == 1).all()
    assert np.isnan(results["dispersion_ratio"]).all()
    assert np.isnan(results["needed"]).all()
    assert any("cannot be compared" in note for note in results.attrs["notes"])
