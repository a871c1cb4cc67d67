"""What limits the results, in sentences that a reader of the report understands."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import xarray as xr

from tomostat.analyze.options import AnalyzeOptions
from tomostat.analyze.table import DETACHMENT, UNKNOWN, Table


def find_limitations(results: xr.Dataset, table: Table, particles: xr.Dataset, options: AnalyzeOptions) -> list[str]:
    """One sentence or two for every limitation that applies.

    Parameters
    ----------
    results
        What `analyze_particles` found.
    table, particles
        The columns that were analyzed, and the particle table that they were read from.
    options
        Options of the analysis.
    """
    if not table.weight.size:
        return ["No particles: there is nothing to analyze."]
    return [
        *_study_design(results, table, options),
        *_confounded_levels(results),
        *_uncounted_particles(results, particles, table, options),
        *_measures(results, table),
    ]


def _study_design(results: xr.Dataset, table: Table, options: AnalyzeOptions) -> list[str]:
    """Limitations by the numbers of conditions, samples and fields."""
    found = []
    samples = results["n_samples"].to_numpy()
    if len(table.conditions) > 1 and (samples == 1).any():
        found.append(
            "One sample per condition: condition and cell are confounded. A difference between conditions may be a "
            "difference between cells; only further samples can distinguish the two."
        )
    empty = [name for name in table.conditions if name not in table.condition]
    if empty:
        found.append(f"No particle of {', '.join(empty)}: nothing can be said about it.")
    if len(table.conditions) == 1:
        found.append("A single condition: nothing to compare it with.")
    single = [str(name) for name in results["condition"].values[results["n_fields"].to_numpy() == 1]]
    if single:
        of = f" of {', '.join(single)}" if len(table.conditions) > 1 else ""
        found.append(
            f"A single field of view{of}: intervals hold the variation between particles only, not that between fields."
        )
    if len(table.conditions) > 1 and UNKNOWN in table.conditions:
        found.append(f"Some particles have no condition; they form the group {UNKNOWN!r}.")
    for index, pair in enumerate(results["pair"].values):
        smallest = _smallest_p(results, index)
        if smallest > 1 - options.confidence:
            one = results.isel(pair=index)
            found.append(
                f"{pair}: only {one['permutations'].item():.0f} ways to permute whole {one['permuted'].item()}, so no "
                f"p-value can be below {smallest:.2g}."
            )
    return found


def _confounded_levels(results: xr.Dataset) -> list[str]:
    """Levels whose variances cannot be distinguished, or are unknown."""
    sample, field, particle = np.isfinite(results["variance_share"].sel(measure=DETACHMENT).to_numpy())
    if not (sample or field or particle):
        return []
    found = []
    if sample and not field:
        found.append(
            "One field per sample: the variance between samples holds that between fields, and what more fields in "
            "each sample would bring is unknown."
        )
    if not sample:
        found.append(
            "The variance between cells is unknown. The numbers of fields and particles that a difference needs hold "
            "for these cells; another cell may differ by more."
        )
    return found


def _measures(results: xr.Dataset, table: Table) -> list[str]:
    """Measures that say nothing, because they are missing or the same in all particles."""
    silent = [
        name
        for name, values in table.measures.items()
        if len(np.unique(values[table.kept & np.isfinite(values)])) < 2 and table.kept.sum() > 1
    ]
    found = []
    if silent:
        found.append(f"Missing, or the same in all particles, and so without any correlation: {', '.join(silent)}.")
    ratio = results["dispersion_ratio"]
    if np.isfinite(results["summary"]).any() and not np.isfinite(ratio).any():
        found.append(
            "The scatter of small and big particles cannot be compared: too few of either, or none that scatters."
        )
    return found


def _smallest_p(results: xr.Dataset, index: int) -> float:
    """Smallest two-sided p: with groups of equal size the exchange of all units is as extreme as the observation."""
    pair = list(combinations(range(results.sizes["condition"]), 2))[index]
    one = results.isel(pair=index)
    counts = results[f"n_{one['permuted'].item()}"].isel(condition=list(pair))
    return (2 if counts[0] == counts[1] else 1) / float(one["permutations"])


def _uncounted_particles(
    results: xr.Dataset, particles: xr.Dataset, table: Table, options: AnalyzeOptions
) -> list[str]:
    """Particles that the statistics leave out, and what that does to them."""
    found = []
    total = table.weight.size
    missing = int(results["n_missing"].sel(size="all").sum())
    if missing:
        found.append(
            f"{missing} of {total} particles have no measured detachment (no carbon-binder phase, or no surface inside "
            "the field); no statistics of the detachment hold them."
        )
    if repeated := particles.sizes["particle"] - total:
        found.append(
            f"{repeated} {'rows are' if repeated > 1 else 'row is'} of particles that another, overlapping field shows "
            "as well: each particle counts once."
        )
    border = int(results["n_border"].sel(size="all").sum())
    if border:
        found.append(f"{border} of {total} particles are cut by the field's border and left out.")
    if border and options.border == "excluded":
        found.append("The others are not weighted for it: big particles are under-represented.")
    if border and options.border == "weighted" and "border_weight" not in particles:
        found.append(
            "The table holds no border weights, so the others count alike and big particles are under-represented."
        )
    found += _small_groups(results)
    if options.border == "kept" and np.any(particles.get("touches_border", False)):
        found.append("Particles cut by the field's border are kept, with the part of them that is inside.")
    return found


def _small_groups(results: xr.Dataset) -> list[str]:
    """Size groups that the border leaves empty, or that few heavily weighted particles dominate."""
    found = []
    for condition in range(results.sizes["condition"]):
        for size in ("small", "big"):
            group = results.isel(condition=condition).sel(size=size)
            used, left, missing = (int(group[n]) for n in ("n_particles", "n_border", "n_missing"))
            effective = float(group["effective_number"])
            who = f"{size} particles of {results['condition'].values[condition]}"
            if not used and left and not missing:
                found.append(f"None of the {left} {who} lies whole in its field: nothing is said about them.")
            elif used and effective < used / 2:
                found.append(
                    f"The {used} {who} count like {effective:.1f} of equal weight: few large ones that rarely lie "
                    "whole in a field stand for many."
                )
    return found
