"""How measures go together: correlations of all with all, and each along volume, sphericity, neighbours and depth."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import combinations

import numpy as np
import xarray as xr
from scipy.stats import false_discovery_control

from tomostat.analyze.estimators import Stream, by_name, estimate_in
from tomostat.analyze.kernels import statistics
from tomostat.analyze.kernels.resample import Estimator
from tomostat.analyze.options import AnalyzeOptions
from tomostat.analyze.results import QUANTILES, interval_variable
from tomostat.analyze.table import COVARIATES, Table
from tomostat.kernels.arrays import Doubles, Mask

STEPS = 41
"""Places along a covariate at which quantiles are taken."""
LEAST = 10
"""Smallest effective number of particles around such a place."""
LOGARITHMIC = ("volume",)
"""Covariates that are followed on a logarithmic scale."""


def correlations(table: Table, options: AnalyzeOptions) -> xr.Dataset:
    """Rank correlations between all measures, in every condition.

    Parameters
    ----------
    table, options
        The particles; confidence, resamples and seed.

    Returns
    -------
    xarray.Dataset
        Dims ``condition``, ``measure`` and ``other``: ``correlation_matrix`` with its interval, ``correlation_p`` from
        the same errors, and ``correlation_q``, the p-values adjusted for the number of pairs in a condition (false
        discovery rate, Benjamini and Hochberg, J. R. Stat. Soc. B 57, 289, 1995). Dims ``quantity`` and ``condition``:
        ``correlation`` with the detachment and its interval.
    """
    names, count = list(table.measures), len(table.conditions)
    shape = (count, len(names), len(names))
    rho, p, q = (np.full(shape, np.nan) for _ in range(3))
    interval = np.full((*shape, 2), np.nan)
    for index, condition in enumerate(table.conditions):
        one = table.take(table.condition == condition)
        groups = dict(enumerate(_pairs_by_particles(one)))
        estimators = {key: _matrix_estimator(one, mask, members) for key, (mask, members, _) in groups.items()}
        for key, found in estimate_in(one, options, estimators, index, Stream.CORRELATIONS).items():
            _, members, pairs = groups[key]
            ends, level = found.interval(options.confidence), found.p_value()
            for a, b in pairs:
                i, j = members.index(a), members.index(b)
                for where in ((index, a, b), (index, b, a)):
                    rho[where], interval[where], p[where] = found.value[i, j], ends[i, j], level[i, j]
        q[index] = _adjusted(p[index])
    return _correlation_dataset(names, rho, interval, p, q)


def _pairs_by_particles(table: Table) -> Iterator[tuple[Mask, list[int], list[tuple[int, int]]]]:
    """Pairs of measures that are known of the same particles: those particles, the measures, and the pairs."""
    known = [table.kept & np.isfinite(values) for values in table.measures.values()]
    groups: dict[bytes, list[tuple[int, int]]] = {}
    for a, b in combinations(range(len(known)), 2):
        groups.setdefault((known[a] & known[b]).tobytes(), []).append((a, b))
    for pairs in groups.values():
        yield known[pairs[0][0]] & known[pairs[0][1]], sorted({one for pair in pairs for one in pair}), pairs


def _matrix_estimator(table: Table, mask: Mask, members: list[int]) -> Estimator:
    columns = np.stack([list(table.measures.values())[member][mask] for member in members])
    return Estimator(mask, by_name(partial(statistics.rank_correlations, columns)), (-1.0, 1.0))


def _adjusted(p: Doubles) -> Doubles:
    """p-values (k, k) adjusted for the number of pairs that are known."""
    adjusted = np.full(p.shape, np.nan)
    rows, columns = np.triu_indices(len(p), 1)
    known = np.isfinite(p[rows, columns])
    if known.any():
        found = false_discovery_control(p[rows, columns][known])
        adjusted[rows[known], columns[known]] = adjusted[columns[known], rows[known]] = found
    return adjusted


def _correlation_dataset(names: list[str], rho: Doubles, interval: Doubles, p: Doubles, q: Doubles) -> xr.Dataset:
    dims = ("condition", "measure", "other")
    text = "Spearman rank correlation"
    columns = ("quantity", "condition")
    of_detachment, around = rho[:, 0, 1:].T, interval[:, 0, 1:].swapaxes(0, 1)
    return xr.Dataset(
        {
            "correlation": (columns, of_detachment, {"units": "1", "long_name": f"{text} with the detachment"}),
            **interval_variable("correlation", columns, around, "1", f"{text} with the detachment"),
            "correlation_matrix": (dims, rho, {"units": "1", "long_name": text}),
            **interval_variable("correlation_matrix", dims, interval, "1", text),
            "correlation_p": (dims, p, {"units": "1", "long_name": "two-sided p-value of the correlation"}),
            "correlation_q": (dims, q, {"units": "1", "long_name": "p-value adjusted for the number of pairs"}),
        },
        {
            "measure": ("measure", np.array(names, dtype=str), {"units": "", "long_name": "measure of particles"}),
            "other": ("other", np.array(names, dtype=str), {"units": "", "long_name": "measure of particles"}),
        },
    )


def relations(table: Table) -> xr.Dataset:
    """Quantiles of every measure along volume, sphericity, neighbours and depth, in every condition.

    Returns
    -------
    xarray.Dataset
        Dims ``condition``, ``covariate``, ``measure``, ``step`` and ``quantile``: ``relation``, NaN where fewer than
        `LEAST` particles are near; ``relation_at`` (covariate, step), the value of the covariate.
    """
    covariates = [name for name in COVARIATES if name in table.quantities]
    at = np.full((len(covariates), STEPS), np.nan)
    found = np.full((len(table.conditions), len(covariates), len(table.measures), STEPS, len(QUANTILES)), np.nan)
    for row, name in enumerate(covariates):
        place = _scaled(name, table.quantities[name])
        used = table.kept & np.isfinite(place)
        if not used.any():
            continue
        low, high = np.quantile(place[used], [0.01, 0.99])
        steps = np.linspace(low, high, STEPS)
        at[row] = np.exp(steps) if name in LOGARITHMIC else steps
        width = statistics.silverman_width(place[used], table.weight[used])
        for index, condition in enumerate(table.conditions):
            for column, values in enumerate(table.measures.values()):
                mask = used & (table.condition == condition) & np.isfinite(values)
                found[index, row, column] = statistics.running_quantiles(
                    values[mask],
                    place[mask],
                    table.weight[mask],
                    steps,
                    width=width,
                    probabilities=QUANTILES,
                    least=LEAST,
                )
    dims = ("condition", "covariate", "measure", "step", "quantile")
    long_name = "quantiles of the measure among particles of about that covariate, in the units of the measure"
    return xr.Dataset(
        {
            "relation": (dims, found, {"units": "", "long_name": long_name}),
            "relation_at": (
                ("covariate", "step"),
                at,
                {"units": "", "long_name": "value of the covariate, in its units"},
            ),
        },
        {
            "covariate": (
                "covariate",
                np.array(covariates, dtype=str),
                {"units": "", "long_name": "measure along which others are followed"},
            ),
        },
    )


def _scaled(name: str, values: Doubles) -> Doubles:
    """A covariate on the scale on which distances are taken; NaN where it has no place there."""
    if name not in LOGARITHMIC:
        return values
    return np.log(values, out=np.full(values.shape, np.nan), where=values > 0)
