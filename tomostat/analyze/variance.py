"""Where the variance lies, and how many samples, fields and particles a difference of some size needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from tomostat.analyze.estimators import Stream
from tomostat.analyze.kernels import statistics
from tomostat.analyze.kernels.power import comparison_power
from tomostat.analyze.kernels.resample import Codes, group_numbers
from tomostat.analyze.kernels.variance import LEVELS, nested_anova, variance_shares
from tomostat.analyze.options import AnalyzeOptions
from tomostat.analyze.results import interval_variable
from tomostat.analyze.table import Table
from tomostat.kernels.arrays import Doubles

DIFFERENCES = (0.02, 0.05, 0.1, 0.15, 0.2)
"""Differences of the mean detachment for which the power is given."""
COUNTS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64)
"""Numbers of units in each condition for which the power is given."""
WANTED = 0.8
"""Power that is asked for."""
MOST = 1000
"""Largest number of units that is looked at."""


@dataclass(frozen=True)
class Design:
    """What is measured in each condition, on average.

    Attributes
    ----------
    samples, fields, particles
        Samples in a condition, fields in a sample, and effective particles in a field.
    variances
        (3,) variance of the detachment between samples, fields and particles, NaN where it is unknown.
    """

    samples: float
    fields: float
    particles: float
    variances: Doubles

    @property
    def by_samples(self) -> bool:
        """Whether samples are compared; with one in a condition, fields are."""
        return self.samples > 1

    @property
    def known(self) -> tuple[str, ...]:
        """Units between which the variance is known, so that their number may be changed."""
        if not np.nan_to_num(self.variances).any():
            return ()
        return tuple(unit for unit, one in zip(LEVELS, self.variances, strict=True) if np.isfinite(one))

    def power(self, difference: float, unit: str, count: Doubles, level: float) -> Doubles:
        """Power with another number of one unit in each group of the next, the others as they are.

        Parameters
        ----------
        difference
            True difference of the mean detachment.
        unit
            Which number is changed: ``sample``, ``field`` or ``particle``.
        count
            (n,) numbers.
        level
            Level of the test.
        """
        samples, fields, particles = (
            count if unit == one else np.full(count.shape, number)
            for one, number in zip(LEVELS, (self.samples, self.fields, self.particles), strict=True)
        )
        of_sample, of_field, of_particle = np.nan_to_num(self.variances)
        if not self.by_samples:
            of_sample = 0.0  # the same in all fields of a condition: part of the difference
        variance = (of_sample + (of_field + of_particle / particles) / fields) / samples
        return comparison_power(difference, variance, samples if self.by_samples else fields, level)

    def needed(self, difference: float, unit: str, level: float) -> float:
        """Least number of a unit with a power of `WANTED`; infinite where no number suffices."""
        count = np.arange(1, MOST + 1, dtype=np.float64)
        enough = np.flatnonzero(self.power(difference, unit, count, level) >= WANTED)
        return float(count[enough[0]]) if enough.size else np.inf


def variance(table: Table, options: AnalyzeOptions) -> xr.Dataset:
    """Shares of sample, field and particle in the variance of every measure, and what a comparison needs.

    Border weights do not enter the variances: each particle that is used counts alike.

    Returns
    -------
    xarray.Dataset
        ``variance`` and ``variance_share`` with its interval (measure, level), within conditions; ``power``
        (true_difference, unit, count) of comparing the mean detachment of two conditions with another number of one
        unit, the others as in this study; ``needed`` (true_difference, unit), the least number with a power of 0.8.
    """
    components, shares = (np.full((len(table.measures), len(LEVELS)), np.nan) for _ in range(2))
    interval = np.full((*shares.shape, 2), np.nan)
    sample, field = table.units()
    for row, values in enumerate(table.measures.values()):
        used = table.kept & np.isfinite(values)
        if not used.any() or np.ptp(values[used]) == 0:
            continue
        codes = [group_numbers(one[used].astype(str)) for one in (table.stratum, sample, field)]
        anova = nested_anova(values[used], *codes)
        components[row] = anova.components()
        rng = np.random.default_rng([options.seed, row, Stream.VARIANCE])
        shares[row], interval[row] = variance_shares(anova, options.confidence, rng)
    dims = ("measure", "level")
    text = "share of samples, fields and particles in the variance within conditions"
    found = xr.Dataset(
        {
            "variance": (
                dims,
                components,
                {"units": "", "long_name": "variance within conditions, in squared units of the measure"},
            ),
            "variance_share": (dims, shares, {"units": "1", "long_name": text}),
            **interval_variable("variance_share", dims, interval, "1", text),
        },
        {
            "level": (
                "level",
                np.array(LEVELS),
                {"units": "", "long_name": "level of the hierarchy that varies"},
            ),
        },
    )
    return found.merge(_power(_design(table, components[0], sample, field), 1 - options.confidence))


def _design(table: Table, variances: Doubles, sample: Codes, field: Codes) -> Design:
    """The study's own design, averaged over conditions that have particles."""
    used = table.measured_groups()[0]
    conditions, samples, fields = (max(len(np.unique(codes[used])), 1) for codes in (table.stratum, sample, field))
    effective = [statistics.effective_number(table.weight[used & (field == one)]) for one in np.unique(field[used])]
    return Design(
        samples=samples / conditions,
        fields=fields / samples,
        particles=float(np.mean(effective)) if effective else np.nan,
        variances=variances,
    )


def _power(design: Design, level: float) -> xr.Dataset:
    power = np.full((len(DIFFERENCES), len(LEVELS), len(COUNTS)), np.nan)
    needed = np.full(power.shape[:2], np.nan)
    for row, difference in enumerate(DIFFERENCES):
        for unit in design.known:
            column = LEVELS.index(unit)
            power[row, column] = design.power(difference, unit, np.array(COUNTS, np.float64), level)
            needed[row, column] = design.needed(difference, unit, level)
    dims = ("true_difference", "unit")
    return xr.Dataset(
        {
            "power": (
                (*dims, "count"),
                power,
                {"units": "1", "long_name": "probability of finding a difference of the mean detachment"},
            ),
            "needed": (dims, needed, {"units": "1", "long_name": f"least number of units for a power of {WANTED:g}"}),
        },
        {
            "true_difference": (
                "true_difference",
                np.array(DIFFERENCES),
                {"units": "1", "long_name": "difference of the mean detachment"},
            ),
            "unit": (
                "unit",
                np.array(LEVELS),
                {"units": "", "long_name": "number that is changed: samples in a condition, fields in a sample, "
                 "particles in a field"},
            ),
            "count": ("count", np.array(COUNTS), {"units": "1", "long_name": "number of units"}),
        },
    )  # fmt: skip
