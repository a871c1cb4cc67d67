"""How the main results move with choices: tolerance, binder level, border rule, size split, particles left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
import xarray as xr

from tomostat.analyze.dispersion import compare_dispersion
from tomostat.analyze.estimators import Stream, by_name, estimate_in
from tomostat.analyze.kernels import statistics
from tomostat.analyze.kernels.resample import Estimate, Estimator, difference
from tomostat.analyze.options import AnalyzeOptions
from tomostat.analyze.results import estimates_variables, interval_variable
from tomostat.analyze.table import DETACHMENT, Table, read_table

SPLIT_STEP = 1.0
"""Micrometers by which the size split is moved."""
UNCERTAIN = 0.9
"""Quantile of the uncertainty of the detachment above which particles are left out in one of the variants."""


@dataclass(frozen=True)
class Variant:
    """One other choice.

    Attributes
    ----------
    name
        What is different, in words.
    particles, options
        Particle table and options with that choice.
    """

    name: str
    particles: xr.Dataset
    options: AnalyzeOptions


def variants(particles: xr.Dataset, options: AnalyzeOptions, split: float) -> Iterator[Variant]:
    """The results as they are, and every other choice that the table allows.

    Parameters
    ----------
    particles, options
        What was analyzed, and how.
    split
        Diameter in micrometers that separated small from big particles.
    """
    options = dataclasses.replace(options, size_split=split)
    yield Variant("as analyzed", particles, options)
    yield from _other_detachments(particles, options)
    for border in ("weighted", "kept", "excluded"):
        if border != options.border and np.any(particles.get("touches_border", False)):
            changed = dataclasses.replace(options, border=border)
            yield Variant(f"particles at the border {border}", particles, changed)
    for step in (-SPLIT_STEP, SPLIT_STEP):
        if split + step > 0:
            moved = dataclasses.replace(options, size_split=split + step)
            yield Variant(f"size split at {split + step:g} micrometers", particles, moved)
    yield from _left_out(particles, options)


def _other_detachments(particles: xr.Dataset, options: AnalyzeOptions) -> Iterator[Variant]:
    """The columns of the table that hold the detachment under another choice of measuring it."""
    for name, column in particles.data_vars.items():
        if not str(name).startswith(f"{DETACHMENT}_at") or column.dims[:1] != ("particle",) or column.ndim != 2:
            continue
        axis = str(column.dims[1])
        for place, value in enumerate(particles[axis].values.tolist()):
            one = column[:, place].drop_vars(axis, errors="ignore")
            words = f"{column.attrs.get('long_name', name)}: {value}"
            yield Variant(words, particles.assign({DETACHMENT: one}), options)


def _left_out(particles: xr.Dataset, options: AnalyzeOptions) -> Iterator[Variant]:
    """Without particles that are flagged, and without those whose detachment is least certain."""
    flagged = particles.get("fully_detached")
    if flagged is not None and flagged.any():
        yield Variant("without fully detached particles", _without(particles, flagged), options)
    deviation = particles.get("detachment_std")
    if deviation is not None and np.isfinite(deviation).any():
        limit = float(deviation.quantile(UNCERTAIN))
        if (deviation > limit).any():
            name = f"without detachments more uncertain than {limit:.2g}"
            yield Variant(name, _without(particles, deviation > limit), options)


def _without(particles: xr.Dataset, dropped: xr.DataArray) -> xr.Dataset:
    return particles.isel(particle=np.flatnonzero(~dropped.to_numpy().astype(bool)))


def sensitivity(particles: xr.Dataset, table: Table, options: AnalyzeOptions) -> xr.Dataset:
    """Mean detachment, its differences and the scatter of small against big particles under other choices.

    Parameters
    ----------
    particles, table
        Particle table, and what of it was analyzed.
    options
        Options of the analysis.

    Returns
    -------
    xarray.Dataset
        Dim ``variant``, the first as analyzed: ``sensitivity_mean`` (condition), ``sensitivity_difference`` (pair) and
        ``sensitivity_dispersion`` with their intervals; ``sensitivity_particles``, how many were used.
    """
    pairs = list(combinations(range(len(table.conditions)), 2))
    names, counts, means, differences, ratios = [], [], [], [], []
    for variant in variants(particles, options, table.split):
        one = read_table(variant.particles, variant.options, table.conditions)
        found = [_mean(one.take(one.condition == name), options, index) for index, name in enumerate(table.conditions)]
        names.append(variant.name)
        counts.append(int(one.measured_groups()[0].sum()))
        means.append(_stacked(found, (0.0, 1.0)))
        differences.append(_stacked([difference(found[a], found[b]) for a, b in pairs], (-1.0, 1.0)))
        ratios.append(compare_dispersion(one, options, Stream.SENSITIVITY, 0))
    by_condition, by_pair, alone = ("variant", "condition"), ("variant", "pair"), ("variant",)
    level = options.confidence
    ratio_text = "mean deviation of the detachment from its median, small over big particles"
    ratio = np.array([one.ratio for one in ratios])
    around = np.stack([one.interval for one in ratios])
    return xr.Dataset(
        {
            **estimates_variables("sensitivity_mean", by_condition, means, level, "1", "mean detachment"),
            **estimates_variables(
                "sensitivity_difference",
                by_pair,
                differences,
                level,
                "1",
                "mean detachment, second minus first condition",
            ),
            "sensitivity_dispersion": (alone, ratio, {"units": "1", "long_name": ratio_text}),
            **interval_variable("sensitivity_dispersion", alone, around, "1", ratio_text),
            "sensitivity_particles": (alone, np.array(counts), {"units": "1", "long_name": "particles used"}),
        },
        {"variant": ("variant", np.array(names, dtype=str), {"units": "", "long_name": "what is different"})},
    )


def _mean(table: Table, options: AnalyzeOptions, index: int) -> Estimate:
    """Mean detachment of the particles of a condition."""
    mask = table.measured_groups()[0]
    one = Estimator(mask, by_name(partial(statistics.mean, table.detachment[mask])), (0.0, 1.0))
    return estimate_in(table, options, {"mean": one}, index, Stream.SENSITIVITY)["mean"]


def _stacked(found: list[Estimate], bounds: tuple[float, float]) -> Estimate:
    """Estimates of single numbers as one of an array."""
    value, below, above, freedom = (
        np.array([getattr(one, name) for one in found], np.float64) for name in ("value", "below", "above", "freedom")
    )
    return Estimate(value, below, above, freedom, bounds)
