"""The results say what limits them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tables import replaced, study
from tomostat.analyze import AnalyzeOptions, analyze_particles

FEW = AnalyzeOptions(resamples=100)


def test_confounding_is_said_where_it_applies() -> None:
    one = analyze_particles(study(samples=1, particles=10), options=FEW)
    assert any("confounded" in sentence for sentence in one.attrs["notes"])
    several = analyze_particles(study(samples=2, particles=10), options=FEW)
    assert not any("confounded" in sentence for sentence in several.attrs["notes"])
    assert several["permuted"].item() == "samples"
    assert several["permutations"].item() == 6
    few = [sentence for sentence in several.attrs["notes"] if "only 6 ways to permute whole samples" in sentence]
    assert "0.33" in few[0]


def test_missing_detachments_are_counted() -> None:
    table = study(particles=20)
    values = table["detachment"].values.copy()
    values[:7] = np.nan
    table = replaced(table, detachment=values)
    found = analyze_particles(table, options=AnalyzeOptions(resamples=100, border="kept"))
    assert found["n_missing"].sel(size="all").values.tolist() == [7, 0]
    assert found["n_particles"].sel(size="all").values.tolist() == [73, 80]
    assert any("7 of 160 particles have no measured detachment" in sentence for sentence in found.attrs["notes"])


def test_thin_groups_are_named() -> None:
    table = study(particles=20)
    big = table["equivalent_diameter"].values >= 11
    weight = np.where(np.arange(big.size) == np.flatnonzero(~big)[0], 500.0, 1.0)
    table = replaced(table, touches_border=big & (table["condition"].values == "1C"), border_weight=weight)
    found = analyze_particles(table, options=FEW)
    inside = weight[~big & (table["condition"].values == "0.1C")]
    effective = found["effective_number"].sel(condition="0.1C", size="small").item()
    assert effective == pytest.approx(inside.sum() ** 2 / (inside**2).sum())
    limitations = found.attrs["notes"]
    assert any("big particles of 1C lies whole in its field" in sentence for sentence in limitations)
    assert any("small particles of 0.1C count like 1." in sentence for sentence in limitations)
    assert found["effective_number"].sel(condition="1C", size="big").item() == 0


def test_one_field_per_condition_cannot_be_tested() -> None:
    found = analyze_particles(study(fields=1, particles=30), options=FEW)
    assert found["permutations"].item() == 2
    assert found["p_value"].sel(size="all", statistic="mean").item() == 1
    assert any("only 2 ways" in sentence for sentence in found.attrs["notes"])


def test_rows_that_count_elsewhere_are_left_out() -> None:
    once = study(particles=10)
    once = replaced(once, counted_elsewhere=np.zeros(once.sizes["particle"], bool))
    again = replaced(once.isel(particle=slice(0, 3)), counted_elsewhere=np.ones(3, bool))
    both = xr.concat([once, again], dim="particle")
    alone, found = analyze_particles(once, options=FEW), analyze_particles(both, options=FEW)
    xr.testing.assert_equal(found, alone)
    assert [sentence for sentence in found.attrs["notes"] if sentence not in alone.attrs["notes"]] == [
        "3 rows are of particles that another, overlapping field shows as well: each particle counts once."
    ]
