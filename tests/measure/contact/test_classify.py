"""Mixtures of void and carbon-binder."""

from __future__ import annotations

import numpy as np
import pytest

from tomostat.measure.contact.classify import PRIOR, Component, Mixture, field_mixture, fit_mixture


def test_groups() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(-0.03, 0.06, 4000), rng.normal(0.6, 0.2, 6000)])
    found = fit_mixture(values, np.ones(len(values)), PRIOR, sample_size=1000)
    assert found.void.mean == pytest.approx(-0.03, abs=0.03)
    assert found.binder.mean == pytest.approx(0.6, abs=0.04)
    assert found.share == pytest.approx(0.6, abs=0.04)
    assert field_mixture(np.zeros(200, np.int64)) == PRIOR
    odds = Mixture(Component(0, 0.1, 1), Component(1, 0.3, 1)).log_odds(np.array([-5, 0.3, 5.0]))
    assert odds[0] == -10
    assert odds[2] == 10
