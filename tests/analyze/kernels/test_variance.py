"""Shares of levels in a variance, against balanced formulas and simulated studies."""

from __future__ import annotations

import numpy as np
import pytest

from tomostat.analyze.kernels.variance import nested_anova, variance_shares


def nested(
    rng: np.random.Generator, spreads: tuple[float, float, float], conditions: int, samples: int, fields: int, size: int
) -> tuple[np.ndarray, ...]:
    """Values and their condition, sample and field, with standard deviations between samples, fields and particles."""
    field = np.repeat(np.arange(conditions * samples * fields), size)
    sample = field // fields
    condition = sample // samples
    values = 10.0 * condition + spreads[0] * rng.standard_normal(sample.max() + 1)[sample]
    values = values + spreads[1] * rng.standard_normal(field.max() + 1)[field]
    return values + spreads[2] * rng.standard_normal(len(field)), condition, sample, field


def test_balanced_design_has_the_textbook_counts() -> None:
    values, *units = nested(np.random.default_rng(0), (1, 1, 1), 2, 3, 4, 5)
    anova = nested_anova(values, *units)
    assert anova.freedom.tolist() == [4, 18, 96]
    np.testing.assert_allclose(anova.counts, [[20, 5, 1], [0, 5, 1], [0, 0, 1]])
    fields = values.reshape(-1, 5)
    assert anova.squares[2] == pytest.approx(((fields - fields.mean(axis=1, keepdims=True)) ** 2).sum())


def test_components_are_unbiased_in_an_unbalanced_design() -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(300):
        values, *units = nested(rng, (0.6, 0.4, 1.0), 2, 6, 3, 12)
        kept = rng.random(len(values)) < np.repeat(rng.uniform(0.3, 1, 36), 12)
        anova = nested_anova(values[kept], *(unit[kept] for unit in units))
        squares = anova.squares / anova.freedom
        found.append(np.linalg.solve(anova.counts, squares))  # not clipped at 0
    np.testing.assert_allclose(np.mean(found, axis=0), [0.36, 0.16, 1.0], atol=0.035)


@pytest.mark.parametrize(("samples", "fields", "known"), [(4, 1, [1, 0, 1]), (1, 4, [0, 1, 1]), (3, 2, [1, 1, 1])])
def test_intervals_of_shares_cover(samples: int, fields: int, known: list[int]) -> None:
    rng = np.random.default_rng(2)
    spreads = (0.5 if samples > 1 else 0.0, 0.5 if fields > 1 else 0.0, 1.0)
    truth = np.square(spreads) / np.sum(np.square(spreads))
    inside = []
    for _ in range(120):
        shares, interval = variance_shares(nested_anova(*nested(rng, spreads, 2, samples, fields, 15)), 0.9, rng)
        assert np.isfinite(shares).tolist() == np.isfinite(interval[:, 0]).tolist() == [bool(one) for one in known]
        inside.append((interval[:, 0] <= truth) & (truth <= interval[:, 1]))
    covered = np.mean(inside, axis=0)[np.array(known, bool)]
    assert (covered > 0.8).all()


def test_nothing_varies() -> None:
    shares, interval = variance_shares(
        nested_anova(np.ones(8), *np.zeros((2, 8), int), np.repeat([0, 1], 4)), 0.9, np.random.default_rng(0)
    )
    assert np.isnan(shares).all()
    assert np.isnan(interval).all()
