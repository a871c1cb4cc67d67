"""Percentiles of the particle size, by number and by volume, and the span between them."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr

from tomostat.analyze.estimators import Stream, by_name, estimate_in
from tomostat.analyze.kernels.resample import Estimator
from tomostat.analyze.kernels.statistics import size_percentiles
from tomostat.analyze.options import AnalyzeOptions
from tomostat.analyze.results import interval_variable
from tomostat.analyze.table import Table
from tomostat.datasets import FEWEST

PERCENTILES = (10, 50, 90)
WEIGHTINGS = {"number": 0, "volume": 3}
"""Power of the diameter with which a particle counts, by name."""


def sizes(table: Table, options: AnalyzeOptions) -> xr.Dataset:
    """D10, D50, D90 and span of the equivalent diameter per condition, by number and by volume.

    Particles that the border cuts are left out and the others weighted for it, unless the options say otherwise; those
    without a measured detachment count as well.

    Returns
    -------
    xarray.Dataset
        ``size_percentile`` (condition, weighting, percentile), micrometers: the diameter below which so many per
        cent of the particles, or of their volume, lie; ``size_span`` (condition, weighting), (D90 - D10) / D50; both
        with intervals, NaN where no particle is whole, and intervals also where fewer than `FEWEST` are: D10 and D90
        are then the smallest and the largest.

    Notes
    -----
    ISO 9276-2. Where the distribution is flat, a percentile is the mean of the two diameters around it.
    """
    shape = (len(table.conditions), len(WEIGHTINGS), len(PERCENTILES) + 1)
    value, interval = np.full(shape, np.nan), np.full((*shape, 2), np.nan)
    for index, condition in enumerate(table.conditions):
        one = table.take(table.condition == condition)
        used = one.kept & (one.diameter > 0)
        if not used.any():
            continue
        percentiles = partial(size_percentiles, one.diameter[used], percentiles=PERCENTILES)
        estimators = {
            name: Estimator(used, by_name(partial(percentiles, power=power)), (0.0, np.inf))
            for name, power in WEIGHTINGS.items()
        }
        for place, found in enumerate(estimate_in(one, options, estimators, Stream.SIZES, index).values()):
            value[index, place] = found.value
            if used.sum() >= FEWEST:
                interval[index, place] = found.interval(options.confidence)
    text = "diameter below which a share of the particles, or of their volume, lies"
    span = "span of the diameters, (D90 - D10) / D50"
    dims = ("condition", "weighting", "percentile")
    weighting = {"units": "", "long_name": "what is counted: particles, or their volume"}
    percentile = {"units": "percent", "long_name": "share below the diameter"}
    return xr.Dataset(
        {
            "size_percentile": (dims, value[..., :-1], {"units": "micrometer", "long_name": text}),
            **interval_variable("size_percentile", dims, interval[..., :-1, :], "micrometer", text),
            "size_span": (dims[:2], value[..., -1], {"units": "1", "long_name": span}),
            **interval_variable("size_span", dims[:2], interval[..., -1, :], "1", span),
        },
        {
            "weighting": ("weighting", list(WEIGHTINGS), weighting),
            "percentile": ("percentile", np.array(PERCENTILES), percentile),
        },
    )
