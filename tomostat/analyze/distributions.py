"""Distributions of detachment per condition and size group, differences between them, and correlations."""

from __future__ import annotations

import json
import logging
from functools import partial
from itertools import combinations

import numpy as np
import xarray as xr

from tomostat.analyze.contribution import ContributionModel, model_curves
from tomostat.analyze.estimators import detachment_estimators, quantity_estimators, summarize
from tomostat.analyze.kernels import statistics
from tomostat.analyze.kernels.resample import (
    difference_interval,
    estimate,
    group_numbers,
    permutation_p,
    permute_groups,
)
from tomostat.analyze.limitations import find_limitations
from tomostat.analyze.options import AnalyzeOptions
from tomostat.analyze.results import DEGREES, QUANTILES, Results, empty_results
from tomostat.analyze.table import Array, Table, read_table
from tomostat.options import as_dict

logger = logging.getLogger(__name__)

TREND_WIDTH = 0.5
"""Width (natural logarithm of volume) of the window in which the trend against volume is taken."""
TREND_MINIMUM = 10
"""Smallest effective number of particles in that window."""
LIMITATIONS = "notes"
"""Attribute of the results on disk that lists their limitations."""


def analyze_particles(
    particles: xr.Dataset, *, options: AnalyzeOptions | None = None, model: ContributionModel | None = None
) -> xr.Dataset:
    """Distributions of detachment, differences between conditions and correlations, all with intervals.

    Parameters
    ----------
    particles
        Particle table, dim ``particle``; rows flagged in ``counted_elsewhere`` are left out. Needed: ``detachment``
        ("1"), ``equivalent_diameter`` (micrometer). Used where given: ``condition``, ``sample``, ``field``,
        ``touches_border``, ``border_weight`` and every column whose attribute ``shown`` holds ``statistics``.
    options
        Split between small and big, level of confidence, resamples, seed, and how particles at the border are treated.
    model
        Parameters of the model of what a particle contributes to the cell.

    Returns
    -------
    xarray.Dataset
        Every variable carries ``units`` and ``long_name``. Dims: ``condition`` (as first named in the table), ``size``
        (all, small, big), ``statistic`` (mean, median, peak, spread), ``bound`` (lower, upper), ``degree`` and ``bin``
        (degree of detachment), ``pair`` (conditions compared), ``quantity`` (further columns), ``volume``,
        ``quantile``.

        - ``n_particles`` used, ``n_missing`` without a measured detachment, ``n_border`` left out at the border
          (condition, size); ``effective_number`` of particles under their border weights (sum w)^2 / sum w^2
          (condition, size); ``n_fields``, ``n_samples`` (condition).
        - ``summary`` (condition, size, statistic) and ``summary_interval``.
        - ``density`` (condition, size, degree) and ``density_interval``, pointwise; ``bandwidth``; ``histogram``
          (condition, size, bin) and ``histogram_interval``.
        - ``size_difference`` small minus big (condition, statistic) and ``size_difference_interval``.
        - ``difference`` second minus first (pair, size, statistic), ``difference_interval``, ``p_value``;
          ``permutations`` possible and ``permuted``, the units that were permuted (pair).
        - ``quantity_median`` (quantity, condition, size) and ``quantity_median_interval``; ``correlation`` with the
          detachment (Spearman; quantity, condition) and ``correlation_interval``.
        - ``trend`` quantiles of detachment around a volume (condition, volume, quantile).
        - ``model_electrical``, ``model_contribution`` (charge, degree), ``model_ionic`` (degree), ``model_best``
          (charge): curves of the model in `tomostat.analyze.contribution`, not of the particles.

        ``attrs["notes"]`` lists the limitations of these numbers in sentences, ``attrs["options"]`` is JSON.

    Raises
    ------
    TypeError, ValueError
        When `particles` is no particle table.

    Notes
    -----
    Intervals and tests respect that particles lie in fields and fields in samples, see
    `tomostat.analyze.kernels.resample`.
    """
    options = options or AnalyzeOptions()
    table = read_table(particles, options)
    results = empty_results(table, particles)
    for index, condition in enumerate(table.conditions):
        one = table.take(table.condition == condition)
        _count(results, index, one, options)
        _estimate_condition(results, index, one, options)
        results["trend"][index] = _trend(one, results["volume"])
    for index, (first, second) in enumerate(combinations(range(len(table.conditions)), 2)):
        _compare(results, index, table, first, second, options)
    found = results.dataset().merge(model_curves(DEGREES, model))
    found.attrs[LIMITATIONS] = find_limitations(found, table, particles, options)
    found.attrs["options"] = json.dumps(as_dict(options))
    logger.info("analyzed %d particles of %d conditions", len(table.weight), len(table.conditions))
    return found


def _count(results: Results, index: int, table: Table, options: AnalyzeOptions) -> None:
    """Numbers of particles, fields and samples of one condition."""
    measured = np.isfinite(table.detachment)
    for place, group in enumerate(table.size_groups(options.size_split)):
        results["n_particles"][index, place] = (group & measured & table.kept).sum()
        results["n_missing"][index, place] = (group & ~measured & table.kept).sum()
        results["n_border"][index, place] = (group & ~table.kept).sum()
        weight = table.weight[group & measured]
        results["effective_number"][index, place] = weight.sum() ** 2 / max((weight**2).sum(), 1e-300)
    sample, field = table.units()
    results["n_samples"][index] = len(np.unique(sample))
    results["n_fields"][index] = len(np.unique(field))


def _estimate_condition(results: Results, index: int, table: Table, options: AnalyzeOptions) -> None:
    """Everything of one condition that has an interval; all from the same resamples."""
    split = options.size_split
    estimators = {
        **{(name, (index, *place)): one for (name, place), one in detachment_estimators(table, split).items()},
        **{(name, (row, index, *place)): one for (name, row, place), one in quantity_estimators(table, split).items()},
    }
    found = estimate(
        estimators,
        table.weight,
        table.levels(),
        confidence=options.confidence,
        resamples=options.resamples,
        rng=np.random.default_rng([options.seed, index]),
    )
    for (name, where), (value, interval) in found.items():
        results[name][where] = value
        results[f"{name}_interval"][where] = interval
    for place, mask in enumerate(table.measured_groups(split)):
        results["bandwidth"][index, place] = statistics.bandwidth(table.detachment[mask], table.weight[mask])


def _trend(table: Table, volumes: Array) -> Array:
    """Quantiles of the detachment among particles of about a volume (volume, quantile)."""
    trend = np.full((len(volumes), len(QUANTILES)), np.nan)
    if "volume" not in table.quantities:
        return trend
    volume = table.quantities["volume"]
    used = table.kept & np.isfinite(table.detachment) & (volume > 0)
    if not used.any():
        return trend
    distance = np.log(volumes)[:, None] - np.log(volume[used])
    weights = table.weight[used] * np.exp(-0.5 * (distance / TREND_WIDTH) ** 2)
    squares = (weights**2).sum(axis=1)
    effective = np.divide(weights.sum(axis=1) ** 2, squares, out=np.zeros_like(squares), where=squares > 0)
    for column, probability in enumerate(QUANTILES):
        found = statistics.quantile(table.detachment[used], weights, probability)
        trend[:, column] = np.where(effective >= TREND_MINIMUM, found, np.nan)
    return trend


def _compare(results: Results, index: int, table: Table, first: int, second: int, options: AnalyzeOptions) -> None:
    """Difference between two conditions, with its interval and the permutation test."""
    summary, interval = results["summary"], results["summary_interval"]
    difference, around = difference_interval(summary[first], interval[first], summary[second], interval[second])
    results["difference"][index] = difference
    results["difference_interval"][index] = np.clip(around, -1.0, 1.0)

    names = table.conditions
    pair = table.take(np.isin(table.condition, [names[first], names[second]]))
    is_second = pair.condition == names[second]
    samples, fields = pair.units()
    several = min(results["n_samples"][first], results["n_samples"][second]) > 1
    results["permuted"][index] = "samples" if several else "fields"
    # first condition's units take the first numbers
    unit = group_numbers(is_second.astype(int).astype(str), (samples if several else fields).astype(str))
    counts = [len(np.unique(unit[group])) for group in (~is_second, is_second)]
    rng = np.random.default_rng([options.seed, index, 1])
    ways, possible = permute_groups(counts[0], counts[1], max(options.resamples, 1000), rng)
    results["permutations"][index] = possible
    for place, mask in enumerate(pair.measured_groups(options.size_split)):
        values, weight = pair.detachment[mask], pair.weight[mask]
        width = statistics.bandwidth(values, weight)
        function = partial(summarize, values, width)
        results["p_value"][index, place] = permutation_p(function, weight, unit[mask], ways)
