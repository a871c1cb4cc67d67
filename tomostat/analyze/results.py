"""The dataset of results: its dims, variables, units and long names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tomostat.analyze.kernels.resample import Estimate
from tomostat.analyze.table import Table
from tomostat.kernels.arrays import Doubles

SIZES = ("all", "small", "big")
STATISTICS = ("mean", "median", "peak", "spread")
EFFECTS = ("standardized difference", "dominance")
BOUNDS = ("lower", "upper")
DEGREES = np.linspace(0.0, 1.0, 201)
BINS = np.linspace(0.0, 1.0, 21)
QUANTILES = (0.1, 0.5, 0.9)
VOLUMES = 60

VARIABLES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "size_split": ((), "micrometer", "diameter from which on a particle is big"),
    "n_particles": (("condition", "size"), "1", "particles used"),
    "n_missing": (("condition", "size"), "1", "particles without a measured detachment"),
    "n_border": (("condition", "size"), "1", "particles left out because the field's border cuts them"),
    "effective_number": (("condition", "size"), "1", "effective number of particles under their border weights"),
    "n_fields": (("condition",), "1", "fields of view with particles"),
    "n_samples": (("condition",), "1", "samples with particles"),
    "summary": (("condition", "size", "statistic"), "1", "detachment"),
    "density": (("condition", "size", "degree"), "1", "probability density of the detachment"),
    "bandwidth": (("condition", "size"), "1", "kernel width of the density"),
    "histogram": (("condition", "size", "bin"), "1", "probability density of the detachment, in bins"),
    "size_difference": (("condition", "statistic"), "1", "detachment of small minus big particles"),
    "size_effect": (("condition", "effect"), "1", "size of the effect of being small rather than big"),
    "difference": (("pair", "size", "statistic"), "1", "detachment, second minus first condition"),
    "effect_size": (("pair", "size", "effect"), "1", "size of the effect of the second against the first condition"),
    "p_value": (("pair", "size", "statistic"), "1", "two-sided permutation p-value of the difference"),
    "quantity_median": (("quantity", "condition", "size"), "", "median, in the units of the quantity"),
    "trend": (("condition", "volume", "quantile"), "1", "detachment of particles of about that volume"),
}
"""Dims, units and long name by name. Those named "n_..." are counts, the others numbers, NaN where unknown."""

WITH_INTERVAL = (
    "summary", "density", "histogram", "size_difference", "size_effect", "difference", "effect_size", "quantity_median",
)  # fmt: skip
"""Variables that have a confidence interval, NAME_interval."""

COORDINATES = {
    "condition": ("", "condition"),
    "size": ("", "size group, separated at the diameter size_split"),
    "statistic": ("", "statistic of the distribution"),
    "effect": ("", "effect size: difference of means over spread, or Cliff's delta"),
    "bound": ("", "end of the confidence interval"),
    "degree": ("1", "degree of detachment"),
    "bin": ("1", "degree of detachment, middle of the bin"),
    "pair": ("", "conditions compared: second minus first"),
    "quantity": ("", "column of the particle table"),
    "volume": ("micrometer^3", "particle volume"),
    "quantile": ("1", "quantile"),
}


class Results:
    """Arrays that are being filled, by name; `dataset` gives them dims, coordinates, units and long names."""

    def __init__(
        self, coordinates: Mapping[str, NDArray[Any]], quantity_units: list[str], quantity_headings: list[str]
    ) -> None:
        self.coordinates = coordinates
        self.quantity_units, self.quantity_headings = quantity_units, quantity_headings
        sizes = {dim: len(values) for dim, values in coordinates.items()}
        self.arrays: dict[str, NDArray[Any]] = {}
        for name, (dims, _, _) in VARIABLES.items():
            shape = tuple(sizes[dim] for dim in dims)
            self.arrays[name] = np.zeros(shape, np.int64) if name.startswith("n_") else np.full(shape, np.nan)
            if name in WITH_INTERVAL:
                self.arrays[f"{name}_interval"] = np.full((*shape, 2), np.nan)
        # as a float: the number of ways to permute may exceed the range of integers
        self.arrays["permutations"] = np.full(sizes["pair"], np.nan)
        self.arrays["permuted"] = np.full(sizes["pair"], "", dtype="<U7")

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Array of a variable or coordinate."""
        return self.arrays[name] if name in self.arrays else np.asarray(self.coordinates[name])

    def put(self, name: str, where: tuple[int, ...], found: Estimate, confidence: float) -> None:
        """Set a variable and its interval at a place."""
        self.arrays[name][where] = found.value
        self.arrays[f"{name}_interval"][where] = found.interval(confidence)

    def dataset(self) -> xr.Dataset:
        """All results as a dataset."""
        variables: dict[str, Any] = {}
        for name, (dims, units, long_name) in VARIABLES.items():
            variables[name] = (dims, self.arrays[name], {"units": units, "long_name": long_name})
            if name in WITH_INTERVAL:
                variables |= interval_variable(name, dims, self.arrays[f"{name}_interval"], units, long_name)
        ways = {"units": "1", "long_name": "ways to permute the units between the conditions"}
        variables["permutations"] = ("pair", self.arrays["permutations"], ways)
        permuted = {"units": "", "long_name": "units that were permuted whole"}
        variables["permuted"] = ("pair", self.arrays["permuted"], permuted)
        coords: dict[str, Any] = {
            name: (name, self.coordinates[name], {"units": units, "long_name": long_name})
            for name, (units, long_name) in COORDINATES.items()
        }
        for name, long_name, values in (
            ("quantity_units", "units of the quantity", self.quantity_units),
            ("quantity_heading", "short name of the quantity", self.quantity_headings),
        ):
            coords[name] = ("quantity", np.array(values, dtype=str), {"units": "", "long_name": long_name})
        return xr.Dataset(variables, coords)


def empty_results(table: Table, particles: xr.Dataset) -> Results:
    """Results of the right shape, without values yet."""
    conditions = table.conditions
    names = list(table.quantities)
    results = Results(
        {
            "condition": _text(conditions),
            "size": _text(SIZES),
            "statistic": _text(STATISTICS),
            "effect": _text(EFFECTS),
            "bound": _text(BOUNDS),
            "degree": DEGREES,
            "bin": (BINS[:-1] + BINS[1:]) / 2,
            "pair": _text([f"{b} - {a}" for a, b in combinations(conditions, 2)]),
            "quantity": _text(names),
            "volume": _volumes(table),
            "quantile": np.array(QUANTILES),
        },
        [str(particles[name].attrs.get("units", "")) for name in names],
        [str(particles[name].attrs.get("heading", name.replace("_", " "))) for name in names],
    )
    results["size_split"][()] = table.split
    return results


def interval_variable(
    name: str, dims: tuple[str, ...], interval: Doubles, units: str, long_name: str
) -> dict[str, tuple[tuple[str, ...], Doubles, dict[str, str]]]:
    """The variable NAME_interval of a dataset, with the dim ``bound`` after those of NAME."""
    attributes = {"units": units, "long_name": f"confidence interval: {long_name}"}
    return {f"{name}_interval": ((*dims, "bound"), interval, attributes)}


def estimates_variables(
    name: str, dims: tuple[str, ...], found: Sequence[Estimate], confidence: float, units: str, long_name: str
) -> dict[str, tuple[tuple[str, ...], Doubles, dict[str, str]]]:
    """Variable NAME and NAME_interval of a dataset, from one estimate for each place along the first of the dims."""
    value = np.stack([one.value for one in found])
    interval = np.stack([one.interval(confidence) for one in found])
    attributes = {"units": units, "long_name": long_name}
    return {name: (dims, value, attributes), **interval_variable(name, dims, interval, units, long_name)}


def _text(values: Any) -> NDArray[np.str_]:
    return np.array(list(values), dtype=str)


def _volumes(table: Table) -> Doubles:
    """Volumes in even steps of their logarithm, over the range of the table."""
    volume = table.quantities.get("volume", np.array([]))
    volume = volume[np.isfinite(volume) & (volume > 0)]
    return np.geomspace(volume.min(), volume.max(), VOLUMES) if volume.size else np.array([])
