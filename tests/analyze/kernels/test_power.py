"""Power of comparing groups, against simulation and known values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tomostat.analyze.kernels.power import attainable_level, comparison_power


def test_levels_that_permutations_can_have() -> None:
    np.testing.assert_allclose(attainable_level([2, 3, 4, 5], 0.05), [0, 0, 2 / 70, 12 / 252])
    assert attainable_level(400, 0.05) == pytest.approx(0.05)
    assert attainable_level(5000, 0.05) == pytest.approx(0.05)


@pytest.mark.parametrize(("units", "difference"), [(5, 1.5), (8, 1.0), (20, 0.8)])
def test_power_of_the_test_of_student(units: int, difference: float) -> None:
    rng = np.random.default_rng(0)
    level = float(attainable_level(units, 0.05))
    groups = rng.standard_normal((4000, 2, units))
    found = stats.ttest_ind(groups[:, 0], groups[:, 1] + difference, axis=1).pvalue <= level
    assert comparison_power(difference, 1 / units, units, 0.05) == pytest.approx(found.mean(), abs=0.03)


def test_limits() -> None:
    assert comparison_power(0.0, 0.1, 8, 0.05) == pytest.approx(float(attainable_level(8, 0.05)))
    assert comparison_power(1.0, 0.0, 8, 0.05) == pytest.approx(1)
    assert comparison_power(5.0, 0.1, [1, 2, 3], 0.05).tolist() == [0, 0, 0]
    units = np.arange(2, 600)
    for difference in np.geomspace(1e-3, 1e3, 13):
        assert np.isfinite(comparison_power(difference, 1 / units, units, 0.05)).all()
    assert (np.diff(comparison_power(0.3, 1 / np.arange(4, 40), np.arange(4, 40), 0.05)) > -0.02).all()
