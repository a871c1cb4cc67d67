"""What was found, in sentences with numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from tomostat.analyze.dispersion import ALL
from tomostat.analyze.kernels.variance import LEVELS
from tomostat.analyze.options import AnalyzeOptions
from tomostat.analyze.table import DETACHMENT
from tomostat.datasets import FEWEST
from tomostat.messages import plural

CORRELATIONS = 8
"""Most correlations that are reported."""
NUMBERS = {
    "sample": "samples in each condition",
    "field": "fields in each sample",
    "particle": "particles in each field",
}
"""What is counted, by unit."""


def find_findings(results: xr.Dataset, options: AnalyzeOptions) -> list[str]:
    """What the results say, each with its number, interval and test.

    Parameters
    ----------
    results
        All variables of `tomostat.analyze.analyze_particles`.
    options
        Options of the analysis.
    """
    level = 1 - options.confidence
    parts = (_means(results), _differences(results, level), _sizes(results), _scatter(results, level),
             _correlations(results, level), _shares(results), _needs(results), _choices(results))  # fmt: skip
    return [sentence for part in parts for sentence in part]


def percent(value: float) -> str:
    """A share as percent."""
    return f"{100 * value:.1f} %"


def interval(ends: xr.DataArray, scale: float = 100.0, digits: int = 1) -> str:
    """An interval in words; says so where it is unknown."""
    low, high = (scale * float(end) for end in ends)
    return f"{low:.{digits}f} to {high:.{digits}f}" if np.isfinite(low + high) else "no interval"


def probability(p: float) -> str:
    """A p-value."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _means(results: xr.Dataset) -> Iterator[str]:
    for name in results["condition"].values:
        one = results.sel(condition=name, size="all")
        mean, ends = one["summary"].sel(statistic="mean"), one["summary_interval"].sel(statistic="mean")
        if np.isfinite(mean):
            yield (
                f"Mean detachment of {name}: {percent(float(mean))} ({interval(ends)}), of "
                f"{plural(int(one['n_particles']), 'particle')} in {plural(int(one['n_fields']), 'field')} of "
                f"{plural(int(one['n_samples']), 'sample')}."
            )


def _differences(results: xr.Dataset, level: float) -> Iterator[str]:
    for index, pair in enumerate(results["pair"].values):
        one = results.isel(pair=index).sel(size="all")
        if not np.isfinite(one["difference"].sel(statistic="mean")):
            continue
        words = [
            f"{statistic} {100 * float(one['difference'].sel(statistic=statistic)):+.1f} "
            f"({interval(one['difference_interval'].sel(statistic=statistic))})"
            for statistic in ("mean", "median", "peak")
        ]
        p = float(one["p_value"].sel(statistic="mean"))
        effect = one["effect_size"].sel(effect="dominance")
        ends = one["effect_size_interval"].sel(effect="dominance")
        verdict = "" if p <= level else "; the difference may be due to chance"
        yield (
            f"{pair}, in percentage points: {', '.join(words)}; {probability(p)} by permuting whole "
            f"{one['permuted'].item()}; dominance {float(effect):.2f} ({interval(ends, 1, 2)}){verdict}."
        )


def _sizes(results: xr.Dataset) -> Iterator[str]:
    split = float(results["size_split"])
    for name in results["condition"].values:
        one = results.sel(condition=name)
        mean, ends = (one[key].sel(statistic="mean") for key in ("size_difference", "size_difference_interval"))
        fewest = one["n_particles"].sel(size=["small", "big"]).min()
        if np.isfinite(mean) and fewest >= FEWEST:
            yield (
                f"{name}, particles below {split:.3g} micrometers minus the others: mean detachment "
                f"{100 * float(mean):+.1f} percentage points ({interval(ends)})."
            )


def _scatter(results: xr.Dataset, level: float) -> Iterator[str]:
    one = results.sel(stratum=ALL)
    ratio, p = float(one["dispersion_ratio"]), float(one["dispersion_p"])
    if np.isfinite(ratio):
        verdict = "" if p <= level else "; the difference may be due to chance"
        yield (
            f"Small particles scatter {ratio:.2f} times as much about their median as big ones "
            f"({interval(one['dispersion_ratio_interval'], 1, 2)}; {probability(p)} by "
            f"{float(one['dispersion_ways']):.0f} flips of signs){verdict}."
        )


def _correlations(results: xr.Dataset, level: float) -> Iterator[str]:
    """The largest correlations of the detachment that stand after allowing for their number."""
    found = []
    for name in results["condition"].values:
        one = results.sel(condition=name, measure=DETACHMENT)
        for other in results["other"].values[1:]:
            rho, q = (float(one[key].sel(other=other)) for key in ("correlation_matrix", "correlation_q"))
            if q <= level:
                ends = interval(one["correlation_matrix_interval"].sel(other=other), 1, 2)
                found.append((abs(rho), f"{name}, {other} against detachment: rank correlation {rho:.2f} ({ends})."))
    yield from (sentence for _, sentence in sorted(found, reverse=True)[:CORRELATIONS])


def _shares(results: xr.Dataset) -> Iterator[str]:
    one = results.sel(measure=DETACHMENT)
    if results["n_particles"].sel(size="all").sum() < FEWEST:
        return
    words = [
        f"{percent(float(one['variance_share'].sel(level=level)))} between {level}s "
        f"({interval(one['variance_share_interval'].sel(level=level))})"
        for level in LEVELS
        if np.isfinite(one["variance_share"].sel(level=level))
    ]
    if words:
        yield f"Variance of the detachment within conditions: {', '.join(words)}."


def _needs(results: xr.Dataset) -> Iterator[str]:
    for unit, words in NUMBERS.items():
        needed = results["needed"].sel(unit=unit)
        parts = [
            f"{count:.0f} for {100 * size:.0f} percentage points"
            for size, count in zip(results["true_difference"].values, needed.values, strict=True)
            if np.isfinite(count)
        ]
        if parts:
            what = "needed to find a difference with a power of 80 %, all else as in this study"
            yield f"{words.capitalize()} {what}: {', '.join(parts)}."


def _choices(results: xr.Dataset) -> Iterator[str]:
    for index, pair in enumerate(results["pair"].values):
        values = results["sensitivity_difference"].isel(pair=index)
        if np.isfinite(values).sum() > 1:
            low, high = values.argmin("variant", skipna=True), values.argmax("variant", skipna=True)
            names = results["variant"].values
            yield (
                f"{pair}, mean detachment under {values.size} choices of the analysis: from "
                f"{100 * float(values[low]):+.1f} ({names[int(low)]}) to {100 * float(values[high]):+.1f} percentage "
                f"points ({names[int(high)]})."
            )
