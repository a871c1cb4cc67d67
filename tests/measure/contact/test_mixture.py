"""Mixtures of void and carbon-binder."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tomostat.measure.contact.mixture import (
    BINS,
    CENTRES,
    PARTICLE_STD,
    PRIOR,
    Component,
    Mixture,
    field_mixture,
    fit_mixture,
)


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


def counts_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.histogram(values, BINS)[0]


@pytest.mark.parametrize("void", [-0.15, 0.0, 0.25])
@pytest.mark.parametrize("spread", [0.08, 0.22])
@pytest.mark.parametrize("detached", [0.3, 0.7])
def test_a_field_has_the_levels_of_its_image(void: float, spread: float, detached: float) -> None:
    """Whatever noise, offset and shares are: the middle between void and carbon-binder decides on contact."""
    rng = np.random.default_rng(1)
    count = 40_000
    on_border = rng.uniform(void, void + 0.8, count // 10) + rng.normal(0, spread, count // 10)
    kinds = [
        rng.normal(void, spread, round(detached * count)),
        rng.normal(void + 0.8, spread, round((1 - detached) * count)),
    ]
    found = field_mixture(counts_of(np.concatenate([*kinds, on_border])))
    assert found.middle == pytest.approx(void + 0.4, abs=0.04)
    assert found.share == pytest.approx(1 - detached, abs=0.04)
    assert (found.void.mean_std, found.binder.mean_std) == PARTICLE_STD


@pytest.mark.parametrize(("level", "spread"), [(0.0, 0.1), (0.0, 0.2), (0.8, 0.1), (0.8, 0.2)])
def test_a_field_of_one_kind_is_not_split(level: float, spread: float) -> None:
    """All attached, or all detached: the other component has no members, and stays where it is expected."""
    values = np.random.default_rng(2).normal(level, spread, 20_000)
    found = field_mixture(counts_of(values))
    wrong = (values > found.middle) == (level < 0.4)
    assert wrong.mean() < 0.05


def test_two_kinds_in_much_noise_are_not_taken_for_one() -> None:
    """As where electrolyte in the pores is nearly as bright as carbon-binder: one hump between the two levels."""
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0.1, 0.25, 4000), rng.normal(0.65, 0.22, 6000)])
    found = field_mixture(counts_of(values))
    assert found.limit == pytest.approx(0.375, abs=0.08)
    assert found.share == pytest.approx(0.6, abs=0.1)


def test_mixed_values_lie_between_the_levels() -> None:
    mixture = Mixture(Component(0.0, 0.05, 1), Component(1.0, 0.05, 1), mixed=0.2)
    odds = mixture.mixed_odds(CENTRES)
    assert odds[np.abs(CENTRES - 0.5).argmin()] > 100
    assert odds[np.abs(CENTRES).argmin()] < 0.1
    assert (Mixture(Component(0.0, 0.05, 1), Component(1.0, 0.05, 1)).mixed_odds(CENTRES) == 0).all()


def test_the_limit_lies_between_the_middle_and_where_both_are_as_likely() -> None:
    alike = Mixture(Component(-0.1, 0.2, 1), Component(0.9, 0.2, 1))
    assert alike.limit == alike.middle == pytest.approx(0.4)
    porous = Mixture(Component(-0.1, 0.08, 1), Component(0.5, 0.2, 1))
    assert porous.log_odds(np.array([porous.equal_density]))[0] == pytest.approx(0, abs=1e-6)
    assert porous.equal_density < porous.limit < porous.middle
    mirrored = Mixture(Component(-0.5, 0.2, 1), Component(0.1, 0.08, 1))
    assert mirrored.equal_density == pytest.approx(-porous.equal_density)
    assert Mixture(Component(0, 0.05, 1), Component(0.01, 2.0, 1)).limit == pytest.approx(0.005)


def test_the_limit_is_the_middle_where_nothing_overlaps() -> None:
    segmented = Mixture(Component(0, 0.04, 1), Component(1, 0.08, 1))
    assert segmented.equal_density < 0.45
    assert segmented.limit == segmented.middle
