"""Particle tables made up for tests: columns as measure declares and writes them, with a hierarchy that is known."""

from __future__ import annotations

from functools import cache

import numpy as np
import xarray as xr

from tomostat.measure import Measure, MeasureOptions, all_columns, chosen_measures


@cache
def declared() -> dict[str, Measure]:
    """The columns that measure declares, in the order of the table."""
    return all_columns(chosen_measures(MeasureOptions()))


def particle_table(columns: dict[str, np.ndarray]) -> xr.Dataset:
    """Table of some of the declared columns, and of what else follows from a diameter.

    Parameters
    ----------
    columns
        Values (n, ...) by name, the ``equivalent_diameter`` in micrometers among them.

    Returns
    -------
    xarray.Dataset
        Dim ``particle``; dims, attributes and order of the columns are those that measure writes.
    """
    diameter = np.asarray(columns["equivalent_diameter"], float)
    columns = {
        "volume": np.pi / 6 * diameter**3,
        "label": np.arange(1, len(diameter) + 1, dtype=np.uint32),
        "touches_border": np.zeros(len(diameter), bool),
        **columns,
    }
    undeclared = set(columns) - set(declared())
    if undeclared:
        raise ValueError(f"measure declares no columns {sorted(undeclared)}")
    known = {name: measure for name, measure in declared().items() if name in columns}
    variables = {
        name: (("particle", *(axis.name for axis in measure.dims)), columns[name], measure.attributes())
        for name, measure in known.items()
    }
    axes = {axis.name: list(axis.coordinates) for measure in known.values() for axis in measure.dims}
    return xr.Dataset(variables, axes)


def replaced(table: xr.Dataset, **columns: np.ndarray) -> xr.Dataset:
    """A table with other values in some columns or with further columns, and attributes as measure writes them."""
    given = {str(name): variable.to_numpy() for name, variable in table.data_vars.items()}
    return particle_table(given | columns)


def study(
    seed: int = 0,
    *,
    conditions: dict[str, float] | None = None,
    samples: int = 1,
    fields: int = 4,
    particles: int = 40,
    between: float = 0.05,
    within: float = 0.12,
) -> xr.Dataset:
    """Particles of fields of samples of conditions with a mean detachment each; small ones scatter more."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[np.ndarray]] = {}
    for condition, centre in (conditions or {"0.1C": 0.3, "1C": 0.45}).items():
        for sample in range(samples):
            for field in range(fields):
                diameter = np.clip(rng.lognormal(np.log(9), 0.35, particles), 3, 20)
                shift = between * rng.standard_normal()
                noise = within * rng.standard_normal(particles) * np.where(diameter < 11, 1.3, 0.8)
                detachment = np.clip(centre + shift + noise, 0, 1)
                add = {
                    "condition": np.full(particles, condition),
                    "sample": np.full(particles, f"{condition}-{sample}"),
                    "field": np.full(particles, f"{condition}-{sample}-{field}"),
                    "label": np.arange(1, particles + 1, dtype=np.uint32),
                    "equivalent_diameter": diameter,
                    "detachment": detachment,
                    "detachment_std": np.full(particles, 0.02),
                    "relative_intensity": 1 + 0.02 * rng.standard_normal(particles),
                    "depth": 20 * rng.random(particles),
                    "sphericity": 0.9 + 0.03 * rng.random(particles),
                    "crack_fraction": 0.1 * rng.random(particles) ** 2,
                    "resistance_mean": 0.8 * detachment**1.5 * (0.6 + 0.4 * rng.random(particles)),
                    "resistance_max": 2.5 * detachment**0.7,
                    "resistance_std": 0.7 * detachment**1.2 * (0.6 + 0.4 * rng.random(particles)),
                    "fully_detached": np.zeros(particles, bool),
                    "touches_border": rng.random(particles) < 0.2,
                }
                for key, values in add.items():
                    rows.setdefault(key, []).append(values)
    return particle_table({key: np.concatenate(values) for key, values in rows.items()})
