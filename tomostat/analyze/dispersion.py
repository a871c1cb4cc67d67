"""Whether small particles scatter more than big ones: ratio of their mean deviations, with a test by whole units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from tomostat.analyze.estimators import Stream, estimate_in
from tomostat.analyze.kernels import statistics
from tomostat.analyze.kernels.resample import Estimator, sign_flip_p
from tomostat.analyze.options import AnalyzeOptions
from tomostat.analyze.results import interval_variable
from tomostat.analyze.table import Table
from tomostat.kernels.arrays import Doubles, Mask

ALL = "all conditions"
LEAST = 3
"""Fewest small, and fewest big, particles from which the scatter of a condition is estimated."""


@dataclass(frozen=True)
class Dispersion:
    """How much more small particles scatter than big ones.

    Attributes
    ----------
    ratio, interval
        Ratio of the mean absolute deviations from the median, small over big, and its confidence interval (2,).
    p, ways
        Two-sided p-value of equal deviations, and the number of ways to flip the signs of the units' differences.
    """

    ratio: float
    interval: Doubles
    p: float
    ways: float


def compare_dispersion(table: Table, options: AnalyzeOptions, *stream: int) -> Dispersion:
    """Compare the scatter of the detachment of small and of big particles.

    After Brown and Forsythe, Journal of the American Statistical Association 69, 364 (1974): deviations are taken from
    the median of the particle's own condition and size group, so that neither a difference between the groups nor the
    shape of their distributions passes for scatter. The test flips the signs of whole units (samples where conditions
    have several, else fields), since particles of one unit are alike.

    Parameters
    ----------
    table, options
        The particles, of one condition or of several; confidence, resamples and seed.
    stream
        Numbers that keep its resamples independent of others.
    """
    valid = table.measured_groups()[0] & np.isfinite(table.diameter)
    groups = [
        (valid & (table.condition == name) & table.small, valid & (table.condition == name) & ~table.small)
        for name in table.conditions
    ]
    groups = [pair for pair in groups if min(mask.sum() for mask in pair) >= LEAST]
    if not groups:
        return Dispersion(np.nan, np.full(2, np.nan), np.nan, np.nan)
    mask = np.any([one for pair in groups for one in pair], axis=0)
    values = table.detachment[mask]
    small, big = ([pair[side][mask] for pair in groups] for side in (0, 1))

    def log_ratio(weights: Doubles) -> Doubles:
        found = [_mean_deviation(values, weights, masks) for masks in (small, big)]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(found[0] * found[1] > 0, np.log(found[0] / found[1]), np.nan))

    one = estimate_in(table, options, {"ratio": Estimator(mask, log_ratio)}, *stream)["ratio"]
    contrast = _contrasts(table.take(mask), [pair[mask] for pairs in groups for pair in pairs])
    p, ways = sign_flip_p(contrast, max(options.resamples, 1000), np.random.default_rng([options.seed, *stream, 1]))
    ratio = float(np.exp(one.value))
    return Dispersion(ratio, np.exp(one.interval(options.confidence)), p if np.isfinite(ratio) else np.nan, ways)


def _mean_deviation(values: Doubles, weights: Doubles, masks: list[Mask]) -> Doubles:
    """Mean absolute deviation (r,) of particles from the median of their own of several groups."""
    shares = np.stack([weights[:, mask].sum(axis=1) for mask in masks])
    found = np.stack([statistics.mean_deviation(values[mask], weights[:, mask]) for mask in masks])
    total = shares.sum(axis=0)
    return np.divide((shares * found).sum(axis=0), total, out=np.full(total.shape, np.nan), where=total > 0)


def _contrasts(table: Table, groups: list[Mask]) -> Doubles:
    """Deviation of small less that of big particles (units,), each unit weighted by what it tells of the difference."""
    deviation = np.zeros(len(table.weight))
    for mask in groups:
        weight = table.weight[mask]
        median = statistics.quantile(table.detachment[mask], weight[None], 0.5)
        count = float(statistics.effective_number(weight))
        deviation[mask] = np.abs(table.detachment[mask] - median) * np.sqrt(count / max(count - 1, 1))
    unit, _ = table.compared_units()
    found = []
    for number in range(unit.max() + 1):
        members = [(unit == number) & side for side in (table.small, ~table.small)]
        counts = [float(statistics.effective_number(table.weight[one])) for one in members]
        if min(counts) > 0:
            means = [np.average(deviation[one], weights=table.weight[one]) for one in members]
            found.append((means[0] - means[1]) * counts[0] * counts[1] / (counts[0] + counts[1]))
    return np.array(found)


def dispersion(table: Table, options: AnalyzeOptions) -> xr.Dataset:
    """Scatter of small against big particles in every condition and in all together.

    Returns
    -------
    xarray.Dataset
        Dim ``stratum`` (conditions, all conditions): ``dispersion_ratio`` with ``dispersion_ratio_interval``,
        ``dispersion_p``, ``dispersion_ways``.
    """
    strata = [*(table.take(table.condition == name) for name in table.conditions), table]
    found = [compare_dispersion(one, options, Stream.DISPERSION, index) for index, one in enumerate(strata)]
    long_name = "mean deviation of the detachment from its median, small over big particles"
    dims = ("stratum",)
    interval = np.stack([one.interval for one in found])
    return xr.Dataset(
        {
            "dispersion_ratio": (dims, np.array([one.ratio for one in found]), {"units": "1", "long_name": long_name}),
            **interval_variable("dispersion_ratio", dims, interval, "1", long_name),
            "dispersion_p": (
                dims,
                np.array([one.p for one in found]),
                {"units": "1", "long_name": "two-sided p-value of equal deviations of small and big particles"},
            ),
            "dispersion_ways": (
                dims,
                np.array([one.ways for one in found]),
                {"units": "1", "long_name": "ways to flip the signs of the units' differences"},
            ),
        },
        {
            "stratum": (
                dims,
                np.array([*table.conditions, ALL], dtype=str),
                {"units": "", "long_name": "condition, or all of them"},
            )
        },
    )
