"""Analyze: weighted statistics against brute force, intervals that cover, tests that hold their level, odd tables."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tables import particle_table, study
from tomostat.analyze import analyze_particles, open_analysis, write_analysis
from tomostat.analyze.kernels import statistics
from tomostat.analyze.kernels.resample import (
    Estimator,
    difference_interval,
    draw,
    encode,
    estimate,
    exchanges,
    hierarchy,
    permutation_p,
    stretch,
)
from tomostat.analyze.options import AnalyzeOptions
from tomostat.analyze.results import DEGREES

FEW = AnalyzeOptions(resamples=100)

repeated = st.lists(
    st.tuples(st.integers(0, 20).map(lambda v: v / 20), st.integers(0, 20), st.integers(0, 4)), min_size=2, max_size=25
).filter(lambda rows: sum(row[2] for row in rows) >= 2)


def unpack(rows: list[tuple[float, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values, others, weights = (np.array(column, float) for column in zip(*rows, strict=True))
    return values, others, weights


# --- weighted statistics: a whole weight is that many copies


@given(repeated, st.sampled_from([0.1, 0.25, 0.5, 0.9]))
@settings(max_examples=150, deadline=None)
def test_weights_are_copies(rows: list[tuple[float, int, int]], probability: float) -> None:
    values, others, weights = unpack(rows)
    copies, other_copies = (np.repeat(column, weights.astype(int)) for column in (values, others))
    row = weights[None]
    np.testing.assert_allclose(statistics.mean(values, row)[0], copies.mean())
    np.testing.assert_allclose(statistics.spread(values, row)[0], copies.std(), atol=1e-7)
    expected = np.quantile(copies, probability, method="averaged_inverted_cdf")
    np.testing.assert_allclose(statistics.quantile(values, row, probability)[0], expected)
    counts = np.histogram(copies, np.linspace(0, 1, 8), density=True)[0]
    np.testing.assert_allclose(statistics.histogram(values, row, np.linspace(0, 1, 8))[0], counts)
    if np.ptp(copies) and np.ptp(other_copies):
        rho = stats.spearmanr(copies, other_copies).statistic
        np.testing.assert_allclose(statistics.spearman(values, others, row)[0], rho, atol=1e-9)
    else:
        assert np.isnan(statistics.spearman(values, others, row)[0])


def test_density_against_direct_sum() -> None:
    rng = np.random.default_rng(1)
    values, weights = rng.random(40), rng.random((3, 40))
    width = 0.05
    found = statistics.density(values, weights, DEGREES, width)
    images = np.stack([values, -values, 2 - values])
    kernels = stats.norm.pdf(DEGREES, images[..., None], width).sum(axis=0)
    expected = weights @ kernels / weights.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=0.01)
    np.testing.assert_allclose(np.trapezoid(found, DEGREES, axis=1), 1, rtol=1e-9)


def test_density_is_level_up_to_the_boundary() -> None:
    values = np.linspace(0, 1, 5001)
    found = statistics.density(values, np.ones((1, 5001)), DEGREES, 0.1)[0]
    np.testing.assert_allclose(found, 1, atol=0.01)


def test_peak_is_where_the_values_pile_up() -> None:
    rng = np.random.default_rng(0)
    values = np.clip(0.7 + 0.1 * rng.standard_normal(1500), 0, 1)
    weights = np.ones((1, 1500))
    width = statistics.bandwidth(values, weights[0])
    assert width == pytest.approx(0.9 * 0.1 * 1500**-0.2, rel=0.1)
    assert statistics.peak(statistics.density(values, weights, DEGREES, width), DEGREES)[0] == pytest.approx(
        0.7, abs=0.03
    )


def test_rows_without_weight_are_nan() -> None:
    values, none = np.array([0.2, 0.4]), np.zeros((1, 2))
    assert np.isnan(statistics.mean(values, none)).all()
    assert np.isnan(statistics.quantile(values, none, 0.5)).all()
    assert np.isnan(statistics.density(values, none, DEGREES, 0.1)).all()
    assert np.isnan(statistics.peak(statistics.density(values, none, DEGREES, 0.1), DEGREES)).all()


# --- resampling


def test_draw_stays_within_parents() -> None:
    parent = np.array([0, 1, 0, 1, 1, 2])
    drawn = draw(parent, 50, np.random.default_rng(0))
    for group, size in ((0, 2), (1, 3), (2, 1)):
        assert (drawn[:, parent == group].sum(axis=1) == size).all()
    assert drawn.std() > 0
    np.testing.assert_allclose(draw(parent, 4000, np.random.default_rng(1)).mean(axis=0), 1, atol=0.06)


def test_encode_numbers_rows() -> None:
    a, b = np.array(["x", "x", "y", "x"]), np.array(["1", "2", "1", "1"])
    assert encode(a, b).tolist() == [0, 1, 2, 0]


def test_stretch_follows_student() -> None:
    field = np.repeat(np.arange(4), 5)
    sample, fields, particle = hierarchy(np.zeros(20, int), field)
    everything = np.ones(20, bool)
    assert np.isnan(stretch(sample, everything, 0.95))
    expected = np.sqrt(4 / 3) * stats.t.ppf(0.975, 3) / stats.norm.ppf(0.975)
    assert stretch(fields, everything, 0.95) == pytest.approx(expected)
    assert stretch(fields, field < 2, 0.95) == pytest.approx(np.sqrt(2) * stats.t.ppf(0.975, 1) / stats.norm.ppf(0.975))
    assert stretch(particle, everything, 0.95) == pytest.approx(
        np.sqrt(20 / 16) * stats.t.ppf(0.975, 16) / stats.norm.ppf(0.975)
    )


@pytest.mark.parametrize(("between", "samples", "fields"), [(0.0, 1, 4), (1.0, 1, 4), (0.5, 1, 6), (0.7, 3, 2)])
def test_intervals_cover(between: float, samples: int, fields: int) -> None:
    """The true mean is inside as often as stated, whether fields differ or not; joint resampling covers 64 to 85 %."""
    rng = np.random.default_rng(5)
    sample = np.repeat(np.arange(samples), fields * 15)
    field = np.repeat(np.arange(samples * fields), 15)
    runs, inside = 160, 0
    for _ in range(runs):
        shift = between * rng.standard_normal(samples)[sample] * (samples > 1)
        shift = shift + between * rng.standard_normal(samples * fields)[field]
        values = shift + rng.standard_normal(len(field))
        one = Estimator(np.ones(len(field), bool), lambda weights, values=values: statistics.mean(values, weights))
        found = estimate(
            {"mean": one}, np.ones(len(field)), hierarchy(sample, field), confidence=0.9, resamples=150, rng=rng
        )
        low, high = found["mean"][1]
        inside += low <= 0 <= high
    assert 0.84 <= inside / runs <= 0.995


def test_difference_interval_of_normal_groups() -> None:
    first, second = np.array(1.0), np.array(3.0)
    difference, interval = difference_interval(first, np.array([0.4, 1.6]), second, np.array([2.2, 3.8]))
    assert difference == 2
    np.testing.assert_allclose(interval, [1, 3])


def test_exchanges_are_all_and_the_observed_first() -> None:
    ways, possible = exchanges(2, 3, 10, np.random.default_rng(0))
    assert possible == len(ways) == len(np.unique(ways, axis=0)) == 10
    assert ways[0].tolist() == [False, False, True, True, True]
    assert (ways.sum(axis=1) == 3).all()
    ways, possible = exchanges(20, 20, 500, np.random.default_rng(0))
    assert (possible, len(ways)) == (137846528820, 501)
    assert not ways[0, :20].any()
    assert (ways.sum(axis=1) == 20).all()


@given(st.integers(0, 1000), st.integers(1, 3), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_permutation_p_against_brute_force(seed: int, first: int, second: int) -> None:
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(first + second), rng.integers(1, 4, first + second))
    values = rng.integers(0, 5, len(unit)) / 4
    ways, _ = exchanges(first, second, 10, rng)
    found = permutation_p(lambda w: statistics.mean(values, w), np.ones(len(unit)), unit, ways)

    def difference(order: tuple[int, ...]) -> float:
        chosen = np.isin(unit, order[first:])
        return abs(values[chosen].mean() - values[~chosen].mean())

    sizes = [difference(order) for order in permutations(range(first + second))]
    assert found == pytest.approx(np.mean(np.array(sizes) >= sizes[0] - 1e-9))


def test_p_values_are_uniform_under_the_null() -> None:
    """Fields differ, conditions do not: p falls below a level no more often than the level says."""
    found = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        unit = np.repeat(np.arange(8), 10)
        values = rng.standard_normal(8)[unit] + rng.standard_normal(80)
        ways, _ = exchanges(4, 4, 10, rng)
        mean = lambda weights, values=values: statistics.mean(values, weights)  # noqa: E731
        found.append(float(permutation_p(mean, np.ones(80), unit, ways)))
    for level in (0.1, 0.3, 0.5, 0.8):
        assert np.mean(np.array(found) <= level) == pytest.approx(level, abs=3 * np.sqrt(level * (1 - level) / 150))


# --- the whole


@pytest.fixture(scope="module")
def results() -> xr.Dataset:
    return analyze_particles(study(1, fields=5), options=AnalyzeOptions(resamples=300))


def test_results_are_documented(results: xr.Dataset) -> None:
    for name, variable in results.variables.items():
        assert "units" in variable.attrs or name == "quantity_units", name
        assert variable.attrs.get("long_name") or name == "quantity_units", name
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


def test_stored_results_read_back(results: xr.Dataset, tmp_path: Path) -> None:
    write_analysis(tmp_path / "analysis.zarr", results)
    write_analysis(tmp_path / "analysis.zarr", results)
    xr.testing.assert_identical(open_analysis(tmp_path / "analysis.zarr"), results)
    assert [path.name for path in tmp_path.iterdir()] == ["analysis.zarr"]
    empty = analyze_particles(study().isel(particle=slice(0, 0)), options=FEW)
    write_analysis(tmp_path / "empty.zarr", empty)
    xr.testing.assert_identical(open_analysis(tmp_path / "empty.zarr"), empty)
    with pytest.raises(FileNotFoundError, match="tomostat analyze"):
        open_analysis(tmp_path / "none.zarr")


def test_confounding_is_said_where_it_applies() -> None:
    one = analyze_particles(study(samples=1, particles=10), options=FEW)
    assert any("confounded" in note for note in one.attrs["notes"])
    several = analyze_particles(study(samples=2, particles=10), options=FEW)
    assert not any("confounded" in note for note in several.attrs["notes"])
    assert several["permuted"].item() == "samples"
    assert several["permutations"].item() == 6
    assert any("only 6 ways to permute whole samples" in note and "0.33" in note for note in several.attrs["notes"])


def test_more_samples_narrow_the_interval_of_the_mean() -> None:
    width = [
        np.ptp(analyze_particles(study(2, samples=n), options=FEW)["summary_interval"].values[0, 0, 0]) for n in (2, 6)
    ]
    assert width[1] < width[0]


def test_missing_detachments_are_counted() -> None:
    table = study(particles=20)
    values = table["detachment"].values.copy()
    values[:7] = np.nan
    table["detachment"] = ("particle", values)
    found = analyze_particles(table, options=AnalyzeOptions(resamples=100, border="kept"))
    assert found["n_missing"].sel(size="all").values.tolist() == [7, 0]
    assert found["n_particles"].sel(size="all").values.tolist() == [73, 80]
    assert any("7 of 160 particles have no measured detachment" in note for note in found.attrs["notes"])


def test_no_detachment_at_all() -> None:
    table = study(particles=12)
    table["detachment"] = ("particle", np.full(table.sizes["particle"], np.nan))
    found = analyze_particles(table, options=FEW)
    assert int(found["n_particles"].sum()) == 0
    assert np.isnan(found["summary"]).all()
    assert np.isnan(found["p_value"]).all()
    assert np.isfinite(found["quantity_median"].sel(size="all", quantity="volume")).all()


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
    table["border_weight"] = ("particle", np.where(border, np.nan, weight))
    weighted = analyze_particles(table, options=FEW)
    inside = ~border & (table["condition"].values == "1C")
    expected = np.average(table["detachment"].values[inside], weights=weight[inside])
    assert weighted["summary"].sel(condition="1C", size="all", statistic="mean").item() == pytest.approx(expected)
    assert not any("no border weights" in note for note in weighted.attrs["notes"])


def test_thin_groups_are_named() -> None:
    table = study(particles=20)
    big = table["equivalent_diameter"].values >= 11
    table["touches_border"] = ("particle", big & (table["condition"].values == "1C"))
    weight = np.where(np.arange(big.size) == np.flatnonzero(~big)[0], 500.0, 1.0)
    table["border_weight"] = ("particle", weight)
    found = analyze_particles(table, options=FEW)
    inside = weight[~big & (table["condition"].values == "0.1C")]
    effective = found["effective_number"].sel(condition="0.1C", size="small").item()
    assert effective == pytest.approx(inside.sum() ** 2 / (inside**2).sum())
    notes = found.attrs["notes"]
    assert any("big particles of 1C lies whole in its field" in note for note in notes)
    assert any("small particles of 0.1C count like 1." in note for note in notes)
    assert found["effective_number"].sel(condition="1C", size="big").item() == 0


def test_small_tables() -> None:
    table = study(particles=20)
    table["touches_border"] = ("particle", np.zeros(table.sizes["particle"], bool))
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


def test_one_field_per_condition_cannot_be_tested() -> None:
    found = analyze_particles(study(fields=1, particles=30), options=FEW)
    assert found["permutations"].item() == 2
    assert found["p_value"].sel(size="all", statistic="mean").item() == 1
    assert any("only 2 ways" in note for note in found.attrs["notes"])


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
        analyze_particles(table.assign(detachment=("particle", np.full(table.sizes["particle"], 1.5))), options=FEW)
    with pytest.raises(ValueError, match="border_weight"):
        analyze_particles(table.assign(border_weight=("particle", np.zeros(table.sizes["particle"]))), options=FEW)
    with pytest.raises(ValueError, match=r"column 'depth' has dims"):
        analyze_particles(
            table.assign(depth=(("particle", "axis"), np.zeros((table.sizes["particle"], 3)))), options=FEW
        )


def test_rows_that_count_elsewhere_are_left_out() -> None:
    once = study(particles=10)
    once = once.assign(counted_elsewhere=("particle", np.zeros(once.sizes["particle"], bool)))
    again = once.isel(particle=slice(0, 3)).assign(counted_elsewhere=("particle", np.ones(3, bool)))
    both = xr.concat([once, again], dim="particle")
    alone, found = analyze_particles(once, options=FEW), analyze_particles(both, options=FEW)
    xr.testing.assert_equal(found, alone)
    assert [note for note in found.attrs["notes"] if note not in alone.attrs["notes"]] == [
        "3 rows are of particles that another, overlapping field shows as well: each particle counts once."
    ]
