"""Particle tables made up for tests: the columns that measure writes, with a hierarchy that is known."""

from __future__ import annotations

import numpy as np
import xarray as xr

UNITS = {
    "volume": "micrometer^3",
    "equivalent_diameter": "micrometer",
    "centroid": "micrometer",
    "depth": "micrometer",
    "surface_area": "micrometer^2",
}


def particle_table(columns: dict[str, np.ndarray]) -> xr.Dataset:
    """Dataset with dim particle, and what else follows from a diameter."""
    columns = dict(columns)
    diameter = np.asarray(columns["equivalent_diameter"], float)
    columns.setdefault("volume", np.pi / 6 * diameter**3)
    columns.setdefault("label", np.arange(1, len(diameter) + 1, dtype=np.uint32))
    columns.setdefault("touches_border", np.zeros(len(diameter), bool))
    variables = {}
    for name, values in columns.items():
        dims = ("particle", "axis") if name == "centroid" else ("particle",)
        dims = ("particle", "axis", "side") if name == "bbox" else dims
        attrs = {"units": UNITS.get(name, "1"), "long_name": name.replace("_", " ")}
        variables[name] = (dims, values, attrs)
    coords = {"axis": list("zyx")} if "centroid" in columns else {}
    return xr.Dataset(variables, coords)


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
