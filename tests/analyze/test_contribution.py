"""The model of what a particle contributes: limits, order, what moves its peak, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from properties import examples
from tables import study
from tomostat.analyze import AnalyzeOptions, analyze_particles
from tomostat.analyze.contribution import (
    CHARGES,
    ContributionModel,
    best_detachment,
    contributions,
    particle_contributions,
)

GRID = np.linspace(0, 1, 1001)

models = st.builds(
    ContributionModel,
    contact=st.floats(0.1, 10),
    solid=st.floats(0.01, 100),
    charge=st.floats(0, 1),
    decades=st.floats(0, 7),
    electrical_power=st.floats(0.3, 3),
    covered=st.floats(0, 1),
    ionic_power=st.floats(0.3, 3),
)


def test_limits() -> None:
    found = contributions([0.0, 1.0])
    assert found.electrical.tolist() == [0.5, 0.0]  # contacts and solid of 1 in series; nothing when loose
    assert found.ionic.tolist() == [0.3, 1.0]
    assert found.contribution.tolist() == [0.3, 0.0]
    better = contributions(0.0, 1e3, ContributionModel(contact=2.0, decades=20))
    assert better.electrical == pytest.approx(2.0)  # a solid without resistance leaves the contacts


def test_mild_detachment_helps_and_severe_hurts() -> None:
    contribution = contributions(GRID).contribution
    best = float(best_detachment())
    assert 0.05 < best < 0.3
    assert GRID[np.argmax(contribution)] == pytest.approx(best, abs=1e-3)
    assert contribution.max() > 1.2 * contribution[0]
    assert contribution[-1] < contribution[0]


@examples(60)
@given(models, st.floats(0, 1))
def test_falling_rising_and_the_lower_of_both(model: ContributionModel, charge: float) -> None:
    found = contributions(GRID, charge, model)
    assert (np.diff(found.electrical) <= 0).all()
    assert (np.diff(found.ionic) >= 0).all()
    np.testing.assert_array_equal(found.contribution, np.minimum(found.electrical, found.ionic))
    best = float(best_detachment(charge, model))
    assert contributions(best, charge, model).contribution >= found.contribution.max() - 1e-5


def test_charge_moves_the_crossing() -> None:
    charge = np.linspace(0, 1, 21)
    best = best_detachment(charge)
    assert (np.diff(best) >= 0).all()
    assert best[0] == 0  # a solid that hardly conducts governs from the start
    assert best[-1] > best[10] + 0.05
    still = best_detachment(charge, ContributionModel(decades=0))
    np.testing.assert_allclose(still, still[0])


def test_unknown_stays_unknown() -> None:
    found = contributions([0.2, np.nan, 0.2], [0.5, 0.5, np.nan])
    assert np.isnan(found.contribution).tolist() == [False, True, True]
    assert np.isnan(found.ionic).tolist() == [False, True, False]
    assert np.isnan(best_detachment([0.5, np.nan])).tolist() == [False, True]


def table(**columns: list[float]) -> xr.Dataset:
    return xr.Dataset({name: ("particle", np.array(values)) for name, values in columns.items()})


def test_per_particle() -> None:
    detachment = [0.0, 0.4, np.nan, 1.0 + 1e-9]
    plain = particle_contributions(table(detachment=detachment))
    assert plain.sizes == {"particle": 4}
    expected = contributions([0.0, 0.4, np.nan, 1.0])
    for name, variable in plain.items():
        np.testing.assert_array_equal(variable, getattr(expected, str(name)))
        assert variable.attrs["units"] == "1"
        assert "model" in variable.attrs["long_name"]
    none = particle_contributions(table(detachment=detachment, soc=[np.nan] * 4))
    xr.testing.assert_identical(none, plain)
    charged = particle_contributions(table(detachment=detachment, soc=[0.8, np.nan, 0.8, 0.8]))
    assert float(charged["electrical"][0]) > float(plain["electrical"][0])
    assert np.isnan(charged["contribution"]).values.tolist() == [False, True, True, False]
    assert np.isnan(charged["ionic"]).values.tolist() == [False, False, True, False]
    with pytest.raises(ValueError, match="no column 'detachment'"):
        particle_contributions(table(volume=[1.0]))


@pytest.mark.parametrize("bad", [
    {"contact": 0}, {"solid": -1}, {"solid": float("nan")}, {"electrical_power": 0}, {"ionic_power": float("inf")},
    {"charge": 1.5}, {"decades": -1}, {"covered": 1.1}, {"covered": float("nan")},
])  # fmt: skip
def test_bad_parameters_are_refused(bad: dict[str, float]) -> None:
    (name,) = bad
    with pytest.raises(ValueError, match=f"^{name} is .*; expected"):
        ContributionModel(**bad)


@pytest.mark.parametrize("bad", [-0.1, 1.1, np.inf])
def test_bad_detachments_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"detachment holds .* from 0 to 1"):
        contributions([0.5, bad])


def test_curves_come_with_the_results() -> None:
    results = analyze_particles(study(particles=8), options=AnalyzeOptions(resamples=100))
    assert results["charge"].values.tolist() == list(CHARGES)
    found = contributions(results["degree"].to_numpy(), 0.8)
    np.testing.assert_allclose(results["model_contribution"].sel(charge=0.8), found.contribution)
    np.testing.assert_allclose(results["model_ionic"], found.ionic)
    assert (results["model_best"].diff("charge") >= 0).all()
