"""Electron density and state of charge against published numbers and round trips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomostat.measure.interior.density import NMC811, Charge, Curve, electron_density, electrons, state_of_charge


def test_density_of_nmc() -> None:
    assert electron_density(3.31e-6, 17.0) == pytest.approx(1.378, abs=0.002)


def test_electrons() -> None:
    np.testing.assert_array_equal(electrons([0, 0.5, 1]), [139.8, 135.3, 130.8])


def test_shipped_curve() -> None:
    curve = NMC811.interpolate()
    grid = np.linspace(0, 0.885, 2001)
    assert curve(0) == pytest.approx(1.3782, abs=1e-4)
    assert curve(0.885) == pytest.approx(1.3812, abs=1e-4)
    assert grid[np.argmin(curve(grid))] == pytest.approx(0.70, abs=0.01)
    assert (np.diff(curve(grid[grid < 0.7])) < 0).all()
    assert (np.diff(curve(grid[grid > 0.7])) > 0).all()
    assert 1 - electrons(0.885) / electrons(0) == pytest.approx(0.057, abs=5e-4)
    assert "Jiang" in NMC811.source


@given(st.floats(0, 0.885), st.floats(1e-5, 1e-3))
def test_round_trip(charge: float, deviation: float) -> None:
    branch = "charged" if charge > NMC811.turn else "discharged"
    density = float(NMC811.interpolate()(charge))
    found, error, flag = state_of_charge([density], [deviation], branch)
    assert abs(found[0] - charge) <= max(error[0], 1e-4)
    if not flag[0]:
        assert abs(charge - NMC811.turn) > 0.015


@pytest.mark.parametrize("branch", ["charged", "discharged"])
def test_error_is_the_slopes(branch: str) -> None:
    charge = 0.8 if branch == "charged" else 0.3
    density = NMC811.interpolate()(charge) + np.random.default_rng(0).normal(0, 2e-4, 4000)
    found, error, _ = state_of_charge(density, 2e-4, branch)  # type: ignore[arg-type]
    assert found.std() == pytest.approx(error.mean(), rel=0.1)


def test_flags() -> None:
    low, high = min(NMC811.density), max(NMC811.density)
    found, _, flag = state_of_charge([low - 0.01, low + 1e-5, high + 0.01, np.nan], 1e-3, "charged")
    assert flag[0] == Charge.OUTSIDE | Charge.NEAR_TURN
    assert flag[1] == Charge.NEAR_TURN
    assert flag[2] == Charge.OUTSIDE
    assert found[2] > 0.885  # flagged, not clipped
    assert np.isnan(found[3])


def test_bad_branch() -> None:
    with pytest.raises(ValueError, match="branch is 'both'; expected charged or discharged"):
        state_of_charge([1.36], 0.001, "both")  # type: ignore[arg-type]


def test_own_curve(tmp_path: Path) -> None:
    path = tmp_path / "curve.csv"
    path.write_text("# measured by hand\n0.1, 1.5\n0.5,1.4\n0.8, 1.6\n")
    curve = Curve.read(path)
    assert curve.turn == 0.5
    assert curve.source == "measured by hand"
    for text in ("a,b\n", "0,1\n1,2\n", "0,1\n0.5,2\n1,3\n", "0 1\n"):
        path.write_text(text)
        with pytest.raises(ValueError, match="curve"):
            Curve.read(path)
