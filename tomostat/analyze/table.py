"""The columns of a particle table that the statistics need, checked and converted to plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tomostat.analyze.kernels.resample import Codes, Level, group_numbers, hierarchy
from tomostat.analyze.options import AnalyzeOptions
from tomostat.datasets import counted_once, shown_in

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

UNKNOWN = "unknown"
"""Name of a condition, sample or field that the table does not give."""

REQUIRED = ("detachment", "equivalent_diameter")
ORIGIN = ("condition", "sample", "field")
"""Columns that say where a particle comes from."""


@dataclass(frozen=True)
class Table:
    """Plain columns, one value per particle (n,).

    Attributes
    ----------
    detachment, diameter
        Degree of detachment (NaN where it could not be measured) and equivalent diameter in micrometers.
    condition, sample, field
        Where the particle comes from.
    weight
        Weight in the statistics: the border weight, 0 for a particle that is left out at the border.
    quantities
        Columns that are shown in statistics, by name.
    """

    detachment: Array
    diameter: Array
    condition: NDArray[np.str_]
    sample: NDArray[np.str_]
    field: NDArray[np.str_]
    weight: Array
    quantities: dict[str, Array]

    @property
    def kept(self) -> Mask:
        """Particles that were not left out at the border."""
        return self.weight > 0

    @property
    def conditions(self) -> list[str]:
        """Conditions in the order of their first particle."""
        return list(dict.fromkeys(self.condition.tolist()))

    def take(self, selected: Mask) -> Table:
        """The table of the selected particles."""
        columns = {name: getattr(self, name)[selected] for name in ("detachment", "diameter", "weight", *ORIGIN)}
        return Table(**columns, quantities={key: values[selected] for key, values in self.quantities.items()})

    def units(self) -> tuple[Codes, Codes]:
        """Number of the sample and number of the field of every particle."""
        sample = group_numbers(self.condition, self.sample)
        return sample, group_numbers(self.condition, self.sample, self.field)

    def levels(self) -> tuple[Level, ...]:
        """The hierarchy to resample."""
        return hierarchy(*self.units())

    def size_groups(self, split: float) -> tuple[Mask, Mask, Mask]:
        """Masks of all, small and big particles, in the order of `SIZES`."""
        return np.ones(len(self.diameter), bool), self.diameter < split, self.diameter >= split

    def measured_groups(self, split: float) -> list[Mask]:
        """Masks of the size groups, of particles with a measured detachment that are not left out."""
        valid = self.kept & np.isfinite(self.detachment)
        return [valid & group for group in self.size_groups(split)]


def read_table(particles: xr.Dataset, options: AnalyzeOptions) -> Table:
    """Read the columns of a particle table, without the rows that count in another field.

    Raises
    ------
    TypeError, ValueError
        When `particles` is not a particle table, or a column holds what it must not.
    """
    if not isinstance(particles, xr.Dataset):
        raise TypeError(f"particles is a {type(particles).__name__}; expected an xarray.Dataset of particles")
    missing = [name for name in REQUIRED if name not in particles]
    if "particle" not in particles.dims or missing:
        raise ValueError(
            f"particles has dims {tuple(particles.dims)} and lacks {', '.join(missing) or 'none'}; "
            f"expected dim 'particle' and the columns {', '.join(REQUIRED)}: make the table with `tomostat measure`"
        )
    particles = counted_once(particles)
    detachment, diameter = (_numbers(particles, name) for name in REQUIRED)
    return Table(
        detachment=_degrees(detachment),
        diameter=diameter,
        weight=_weights(particles, options),
        quantities={name: _numbers(particles, name) for name in shown_in(particles, "statistics")},
        **{name: _names(particles, name) for name in ORIGIN},
    )


def _numbers(particles: xr.Dataset, name: str) -> Array:
    column = particles[name]
    if column.dims != ("particle",):
        raise ValueError(f"column {name!r} has dims {column.dims}; expected ('particle',)")
    return column.to_numpy().astype(np.float64)


def _degrees(values: Array) -> Array:
    """Detachments with rounding errors clipped."""
    off = (values < -1e-6) | (values > 1 + 1e-6)
    if off.any():
        raise ValueError(f"column 'detachment' holds {values[off][0]:g}; expected values from 0 to 1 or NaN")
    return np.clip(values, 0.0, 1.0)


def _names(particles: xr.Dataset, name: str) -> NDArray[np.str_]:
    """A column of names; `UNKNOWN` where there is no column or no name."""
    if name not in particles:
        return np.full(particles.sizes["particle"], UNKNOWN)
    values = particles[name].to_numpy()
    empty = (None, "", "nan", "None")
    names = [UNKNOWN if value in empty or value != value else str(value) for value in values.tolist()]
    return np.array(names, dtype=str)


def _weights(particles: xr.Dataset, options: AnalyzeOptions) -> Array:
    """Weight of every particle, 0 for those left out at the border."""
    count = particles.sizes["particle"]
    border = np.zeros(count, bool)
    if "touches_border" in particles:
        border = particles["touches_border"].to_numpy().astype(bool)
    weight = np.ones(count)
    if options.border == "weighted" and "border_weight" in particles:
        weight = _numbers(particles, "border_weight")
        inside = weight[~border]
        if not (np.isfinite(inside) & (inside > 0)).all():
            raise ValueError(
                "column 'border_weight' holds a weight that is not a positive number for a particle inside the field; "
                "measure again, or set border to kept or excluded"
            )
    return np.where(border, 0.0, weight) if options.border != "kept" else weight
