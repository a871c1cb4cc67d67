"""The statistics that are estimated, and how they are estimated for the particles of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import partial

import numpy as np

from tomostat.analyze.kernels import statistics
from tomostat.analyze.kernels.resample import Estimate, Estimator, Key, estimate
from tomostat.analyze.options import AnalyzeOptions
from tomostat.analyze.results import BINS, DEGREES
from tomostat.analyze.table import Table
from tomostat.kernels.arrays import Doubles, Mask


class Stream(IntEnum):
    """Streams of random numbers: the parts of an analysis take their resamples from different ones."""

    CORRELATIONS = 2
    DISPERSION = 3
    EFFECTS = 4
    VARIANCE = 5
    SENSITIVITY = 6
    SIZES = 8


EFFECT_SIZES: tuple[tuple[Callable[..., Doubles], tuple[float, float]], ...] = (
    (statistics.standardized_difference, (-np.inf, np.inf)),
    (statistics.dominance, (-1.0, 1.0)),
)
"""Effect sizes with their bounds, in the order of `EFFECTS`."""


def estimate_in(
    table: Table, options: AnalyzeOptions, estimators: Mapping[Key, Estimator], *stream: int
) -> dict[Key, Estimate]:
    """Estimates among the particles of a table.

    Parameters
    ----------
    table, options
        The particles; confidence, resamples and seed.
    estimators
        What to estimate; all use the same resamples.
    stream
        Numbers that keep these resamples independent of those of other calls.
    """
    return estimate(
        estimators,
        table.weight,
        table.levels(),
        confidence=options.confidence,
        resamples=options.resamples,
        rng=np.random.default_rng([options.seed, *stream]),
    )


def summarize(values: Doubles, width: float, weights: Doubles) -> Doubles:
    """Mean, median, peak and spread of the detachment.

    Parameters
    ----------
    values
        (n,) detachments.
    width
        Kernel width of the density whose peak is taken.
    weights
        (r, n).

    Returns
    -------
    array
        (r, 4), in the order of `STATISTICS`.
    """
    densities = statistics.density(values, weights, DEGREES, width)
    columns = (
        statistics.mean(values, weights),
        statistics.quantile(values, weights, 0.5),
        statistics.peak(densities, DEGREES),
        statistics.spread(values, weights),
    )
    return np.stack(columns, axis=-1)


def detachment_estimators(table: Table) -> dict[tuple[str, tuple[int, ...]], Estimator]:
    """Estimators of the detachment's distribution, by variable and size group."""
    found: dict[tuple[str, tuple[int, ...]], Estimator] = {}
    masks = table.measured_groups()
    for place, mask in enumerate(masks):
        values = table.detachment[mask]
        width = statistics.bandwidth(values, table.weight[mask])
        smooth = partial(statistics.density, values, grid=DEGREES, width=width)
        steps = partial(statistics.histogram, values, edges=BINS)
        found["summary", (place,)] = Estimator(mask, partial(summarize, values, width), (0.0, 1.0))
        found["density", (place,)] = Estimator(mask, by_name(smooth), (0.0, np.inf))
        found["histogram", (place,)] = Estimator(mask, by_name(steps), (0.0, np.inf))
    found["size_difference", ()] = _size_difference(table, masks[0])
    return found | {
        ("size_effect", (place,)): one
        for place, one in enumerate(effect_estimators(table.detachment, table.small, masks[0]))
    }


def quantity_estimators(table: Table) -> dict[tuple[str, int, tuple[int, ...]], Estimator]:
    """Estimators of the medians of the columns shown in statistics, by variable, column and size group."""
    found: dict[tuple[str, int, tuple[int, ...]], Estimator] = {}
    for index, values in enumerate(table.quantities.values()):
        for place, group in enumerate(table.size_groups()):
            mask = table.kept & np.isfinite(values) & group
            middle = partial(statistics.quantile, values[mask], probability=0.5)
            found["quantity_median", index, (place,)] = Estimator(mask, by_name(middle))
    return found


def effect_estimators(values: Doubles, second: Mask, mask: Mask) -> list[Estimator]:
    """Estimators of the effect sizes between two groups, in the order of `EFFECTS`.

    Parameters
    ----------
    values, second
        (n,) of every particle, and whether it belongs to the second group.
    mask
        (n,) particles that are used.
    """
    return [
        Estimator(mask, by_name(partial(function, values[mask], second[mask])), bounds)
        for function, bounds in EFFECT_SIZES
    ]


def by_name(function: Callable[..., Doubles]) -> Callable[[Doubles], Doubles]:
    """Call with the weights by name."""
    return lambda weights: function(weights=weights)


def _size_difference(table: Table, mask: Mask) -> Estimator:
    """Difference between small and big particles of the same fields."""
    values, small = table.detachment[mask], table.small[mask]
    groups = [(group, statistics.bandwidth(values[group], table.weight[mask][group])) for group in (small, ~small)]

    def difference(weights: Doubles) -> Doubles:
        of_small, of_big = (summarize(values[group], width, weights[:, group]) for group, width in groups)
        return of_small - of_big

    return Estimator(mask, difference, (-1.0, 1.0))
