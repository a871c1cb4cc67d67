"""Distributions of detachment per condition and size group, differences between them, and correlations."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import xarray as xr

from tomostat.analyze.comparison import Summaries, compare
from tomostat.analyze.contribution import ContributionModel, model_curves
from tomostat.analyze.dispersion import dispersion
from tomostat.analyze.estimators import detachment_estimators, estimate_in, quantity_estimators
from tomostat.analyze.findings import find_findings
from tomostat.analyze.kernels import statistics
from tomostat.analyze.limitations import find_limitations
from tomostat.analyze.options import AnalyzeOptions
from tomostat.analyze.relations import correlations, relations
from tomostat.analyze.results import DEGREES, QUANTILES, SIZES, Results, empty_results
from tomostat.analyze.sensitivity import sensitivity
from tomostat.analyze.sizes import sizes
from tomostat.analyze.table import Table, read_table
from tomostat.analyze.variance import variance
from tomostat.kernels.arrays import Doubles
from tomostat.options import as_dict

logger = logging.getLogger(__name__)

TREND_WIDTH = 0.5
"""Width (natural logarithm of volume) of the window in which the trend against volume is taken."""
TREND_MINIMUM = 10
"""Smallest effective number of particles in that window."""
LIMITATIONS = "notes"
"""Attribute of the results on disk that lists their limitations."""
FINDINGS = "findings"
"""Attribute of the results on disk that lists what was found, in sentences."""


def analyze_particles(
    particles: xr.Dataset,
    *,
    options: AnalyzeOptions | None = None,
    model: ContributionModel | None = None,
    conditions: Sequence[str] = (),
) -> xr.Dataset:
    """Distributions of detachment, differences between conditions, relations of measures, all with intervals.

    Parameters
    ----------
    particles
        Particle table, dim ``particle``; rows flagged in ``counted_elsewhere`` are left out. Needed: ``detachment``
        ("1"), ``equivalent_diameter`` (micrometer). Used where given: ``condition``, ``sample``, ``field``,
        ``touches_border``, ``border_weight``, every column whose attribute ``shown`` holds ``statistics``, and
        ``volume``, ``sphericity``, ``neighbours``, ``depth`` against which these are followed.
    options
        Split between small and big, level of confidence, resamples, seed, and how particles at the border are treated.
    model
        Parameters of the model of what a particle contributes to the cell.
    conditions
        Conditions of the study in their order, those without any particle among them.

    Returns
    -------
    xarray.Dataset
        Every variable carries ``units`` and ``long_name``. Dims: ``condition`` (as first named in the table), ``size``
        (all, small, big), ``statistic`` (mean, median, peak, spread), ``bound`` (lower, upper), ``degree`` and ``bin``
        (degree of detachment), ``pair`` (conditions compared), ``effect`` (standardized difference, dominance),
        ``quantity`` (further columns), ``volume``, ``quantile``, and those that the parts below name.

        - ``size_split``, the diameter from which on a particle is big.
        - ``n_particles`` used, ``n_missing`` without a measured detachment, ``n_border`` left out at the border
          (condition, size); ``effective_number`` of particles under their border weights (sum w)^2 / sum w^2
          (condition, size); ``n_fields``, ``n_samples`` (condition).
        - ``summary`` (condition, size, statistic) and ``summary_interval``.
        - ``density`` (condition, size, degree) and ``density_interval``, pointwise; ``bandwidth``; ``histogram``
          (condition, size, bin) and ``histogram_interval``.
        - ``size_difference`` small minus big (condition, statistic) and ``size_difference_interval``; ``size_effect``
          (condition, effect) and ``size_effect_interval``.
        - ``difference`` second minus first (pair, size, statistic), ``difference_interval``, ``p_value``;
          ``permutations`` possible and ``permuted``, the units that were permuted (pair); ``effect_size`` (pair, size,
          effect) and ``effect_size_interval``.
        - ``dispersion_ratio`` of small to big particles (stratum), ``dispersion_ratio_interval``, ``dispersion_p``,
          ``dispersion_ways``: `tomostat.analyze.dispersion`.
        - ``quantity_median`` (quantity, condition, size) and ``quantity_median_interval``; ``correlation`` with the
          detachment (Spearman; quantity, condition) and ``correlation_interval``; ``correlation_matrix`` (condition,
          measure, other), ``correlation_matrix_interval``, ``correlation_p``, ``correlation_q``; ``relation``
          (condition, covariate, measure, step, quantile), ``relation_at``: `tomostat.analyze.relations`.
        - ``variance``, ``variance_share`` (measure, level), ``variance_share_interval``; ``power`` (true_difference,
          unit, count), ``needed`` (true_difference, unit): `tomostat.analyze.variance`.
        - ``sensitivity_mean``, ``sensitivity_difference``, ``sensitivity_dispersion`` (variant, ...), their intervals
          ``sensitivity_mean_interval``, ``sensitivity_difference_interval``, ``sensitivity_dispersion_interval``, and
          ``sensitivity_particles``: `tomostat.analyze.sensitivity`.
        - ``size_percentile`` D10, D50, D90 of the diameter by number and by volume (condition, weighting, percentile),
          ``size_span`` (condition, weighting), ``size_percentile_interval``, ``size_span_interval``:
          `tomostat.analyze.sizes`.
        - ``trend`` quantiles of detachment around a volume (condition, volume, quantile).
        - ``model_electrical``, ``model_contribution`` (charge, degree), ``model_ionic`` (degree), ``model_best``
          (charge): curves of the model in `tomostat.analyze.contribution`, not of the particles.

        ``attrs["findings"]`` lists what was found and ``attrs["notes"]`` what limits it, in sentences;
        ``attrs["options"]`` is JSON.

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
    table = read_table(particles, options, conditions)
    results = empty_results(table, particles)
    summaries: list[Summaries] = []
    for index, condition in enumerate(table.conditions):
        one = table.take(table.condition == condition)
        _count(results, index, one)
        summaries.append(_estimate_condition(results, index, one, options))
        results["trend"][index] = _trend(one, results["volume"])
    for index, (first, second) in enumerate(combinations(range(len(table.conditions)), 2)):
        compare(results, index, table, first, second, summaries, options)
    parts = (
        model_curves(DEGREES, model),
        dispersion(table, options),
        correlations(table, options),
        relations(table),
        variance(table, options),
        sensitivity(particles, table, options),
        sizes(table, options),
    )
    found = xr.merge([results.dataset(), *parts], compat="equals", join="exact")
    found.attrs[FINDINGS] = find_findings(found, options)
    found.attrs[LIMITATIONS] = find_limitations(found, table, particles, options)
    found.attrs["options"] = json.dumps(as_dict(options))
    logger.info("analyzed %d particles of %d conditions", len(table.weight), len(table.conditions))
    return found


def _count(results: Results, index: int, table: Table) -> None:
    """Numbers of particles, fields and samples of one condition."""
    measured = np.isfinite(table.detachment)
    for place, group in enumerate(table.size_groups()):
        results["n_particles"][index, place] = (group & measured & table.kept).sum()
        results["n_missing"][index, place] = (group & ~measured & table.kept).sum()
        results["n_border"][index, place] = (group & ~table.kept).sum()
        results["effective_number"][index, place] = statistics.effective_number(table.weight[group & measured])
    sample, field = table.units()
    results["n_samples"][index] = len(np.unique(sample))
    results["n_fields"][index] = len(np.unique(field))


def _estimate_condition(results: Results, index: int, table: Table, options: AnalyzeOptions) -> Summaries:
    """Everything of one condition that has an interval, all from the same resamples; gives the summaries by size."""
    estimators = {
        **{(name, (index, *place)): one for (name, place), one in detachment_estimators(table).items()},
        **{(name, (row, index, *place)): one for (name, row, place), one in quantity_estimators(table).items()},
    }
    found = estimate_in(table, options, estimators, index)
    for (name, where), one in found.items():
        results.put(name, where, one, options.confidence)
    for place, mask in enumerate(table.measured_groups()):
        results["bandwidth"][index, place] = statistics.bandwidth(table.detachment[mask], table.weight[mask])
    return {place: found["summary", (index, place)] for place in range(len(SIZES))}


def _trend(table: Table, volumes: Doubles) -> Doubles:
    """Quantiles of the detachment among particles of about a volume (volume, quantile)."""
    volume = table.quantities.get("volume", np.full(len(table.weight), np.nan))
    used = table.kept & np.isfinite(table.detachment) & (volume > 0)
    return statistics.running_quantiles(
        table.detachment[used],
        np.log(volume[used]),
        table.weight[used],
        np.log(volumes),
        width=TREND_WIDTH,
        probabilities=QUANTILES,
        least=TREND_MINIMUM,
    )
