"""Differences between two conditions: with intervals, effect sizes and a permutation of whole units."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from tomostat.analyze.estimators import Stream, effect_estimators, estimate_in, summarize
from tomostat.analyze.kernels import statistics
from tomostat.analyze.kernels.resample import Estimate, difference, group_numbers, permutation_p, permute_groups
from tomostat.analyze.options import AnalyzeOptions
from tomostat.analyze.results import SIZES, Results
from tomostat.analyze.table import Table
from tomostat.kernels.arrays import Mask

Summaries = Mapping[int, Estimate]
"""Estimates of mean, median, peak and spread of one condition, by size group."""


def compare(
    results: Results, index: int, table: Table, first: int, second: int, summaries: list[Summaries],
    options: AnalyzeOptions,
) -> None:  # fmt: skip
    """Fill in the difference between two conditions.

    Parameters
    ----------
    results
        Results whose pair `index` is filled.
    index
        Number of the pair.
    table
        Particles of all conditions.
    first, second
        Numbers of the conditions.
    summaries
        Of every condition.
    options
        Options of the analysis.
    """
    for place in range(len(SIZES)):
        found = difference(summaries[first][place], summaries[second][place], (-1.0, 1.0))
        results.put("difference", (index, place), found, options.confidence)

    names = [table.conditions[number] for number in (first, second)]
    pair = table.take(np.isin(table.condition, names))
    is_second = pair.condition == names[1]
    effects = {
        (place, number): one
        for place, mask in enumerate(pair.measured_groups())
        for number, one in enumerate(effect_estimators(pair.detachment, is_second, mask))
    }
    for where, found in estimate_in(pair, options, effects, index, Stream.EFFECTS).items():
        results.put("effect_size", (index, *where), found, options.confidence)
    _permute(results, index, pair, is_second, options)


def _permute(results: Results, index: int, pair: Table, is_second: Mask, options: AnalyzeOptions) -> None:
    """Permute whole samples where both conditions have several, else whole fields."""
    whole, results["permuted"][index] = pair.compared_units()
    # first condition's units take the first numbers
    unit = group_numbers(is_second.astype(int).astype(str), whole.astype(str))
    counts = [len(np.unique(unit[group])) for group in (~is_second, is_second)]
    rng = np.random.default_rng([options.seed, index, 1])
    ways, possible = permute_groups(counts[0], counts[1], max(options.resamples, 1000), rng)
    results["permutations"][index] = possible
    for place, mask in enumerate(pair.measured_groups()):
        values, weight = pair.detachment[mask], pair.weight[mask]
        function = partial(summarize, values, statistics.bandwidth(values, weight))
        results["p_value"][index, place] = permutation_p(function, weight, unit[mask], ways)
