"""The statistics that are estimated for the particles of one condition."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from tomostat.analyze.kernels import statistics
from tomostat.analyze.kernels.resample import Estimator
from tomostat.analyze.results import BINS, DEGREES
from tomostat.analyze.table import Array, Mask, Table


def summarize(values: Array, width: float, weights: Array) -> Array:
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


def detachment_estimators(table: Table, split: float) -> dict[tuple[str, tuple[int, ...]], Estimator]:
    """Estimators of the detachment's distribution, by variable and size group."""
    found: dict[tuple[str, tuple[int, ...]], Estimator] = {}
    masks = table.measured_groups(split)
    for place, mask in enumerate(masks):
        values = table.detachment[mask]
        width = statistics.bandwidth(values, table.weight[mask])
        smooth = partial(statistics.density, values, grid=DEGREES, width=width)
        steps = partial(statistics.histogram, values, edges=BINS)
        found["summary", (place,)] = Estimator(mask, partial(summarize, values, width), (0.0, 1.0))
        found["density", (place,)] = Estimator(mask, _by_name(smooth), (0.0, np.inf))
        found["histogram", (place,)] = Estimator(mask, _by_name(steps), (0.0, np.inf))
    found["size_difference", ()] = _size_difference(table, masks[0], split)
    return found


def quantity_estimators(table: Table, split: float) -> dict[tuple[str, int, tuple[int, ...]], Estimator]:
    """Estimators of the columns shown in statistics, by variable, column and size group."""
    found: dict[tuple[str, int, tuple[int, ...]], Estimator] = {}
    measured = np.isfinite(table.detachment)
    for index, values in enumerate(table.quantities.values()):
        kept = table.kept & np.isfinite(values)
        for place, group in enumerate(table.size_groups(split)):
            mask = kept & group
            middle = partial(statistics.quantile, values[mask], probability=0.5)
            found["quantity_median", index, (place,)] = Estimator(mask, _by_name(middle))
        both = kept & measured
        rank = partial(statistics.spearman, values[both], table.detachment[both])
        found["correlation", index, ()] = Estimator(both, rank, (-1.0, 1.0))
    return found


def _by_name(function: Callable[..., Array]) -> Callable[[Array], Array]:
    """Call with the weights by name."""
    return lambda weights: function(weights=weights)


def _size_difference(table: Table, mask: Mask, split: float) -> Estimator:
    """Difference between small and big particles of the same fields."""
    values, small = table.detachment[mask], table.diameter[mask] < split
    groups = [(group, statistics.bandwidth(values[group], table.weight[mask][group])) for group in (small, ~small)]

    def difference(weights: Array) -> Array:
        of_small, of_big = (summarize(values[group], width, weights[:, group]) for group, width in groups)
        return of_small - of_big

    return Estimator(mask, difference, (-1.0, 1.0))
