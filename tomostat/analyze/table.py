"""The columns of a particle table that the statistics need, checked and converted to plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from tomostat.analyze.kernels.resample import Codes, Level, group_numbers, hierarchy
from tomostat.analyze.options import AnalyzeOptions
from tomostat.datasets import counted_once, shown_in
from tomostat.kernels.arrays import Doubles, Mask

UNKNOWN = "unknown"
"""Name of a condition, sample or field that the table does not give."""

REQUIRED = ("detachment", "equivalent_diameter")
ORIGIN = ("condition", "sample", "field")
"""Columns that say where a particle comes from."""
COVARIATES = ("volume", "sphericity", "neighbours", "depth")
"""Columns against which every measure is shown."""
DETACHMENT = "detachment"
SIZE_BINS = 128
"""Bins of the logarithm of the diameter in which a split between small and big particles is looked for."""


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
        Columns that are shown in statistics, and those of `COVARIATES`, by name.
    conditions
        All conditions of the study, those without particles among them.
    split
        Diameter in micrometers from which on a particle is big.
    """

    detachment: Doubles
    diameter: Doubles
    condition: NDArray[np.str_]
    sample: NDArray[np.str_]
    field: NDArray[np.str_]
    weight: Doubles
    quantities: dict[str, Doubles]
    conditions: tuple[str, ...]
    split: float

    @property
    def kept(self) -> Mask:
        """Particles that were not left out at the border."""
        return self.weight > 0

    @property
    def measures(self) -> dict[str, Doubles]:
        """The detachment, and the columns that are shown in statistics, by name."""
        return {DETACHMENT: self.detachment, **self.quantities}

    def take(self, selected: Mask) -> Table:
        """The table of the selected particles."""
        columns = {name: getattr(self, name)[selected] for name in ("detachment", "diameter", "weight", *ORIGIN)}
        quantities = {key: values[selected] for key, values in self.quantities.items()}
        return replace(self, **columns, quantities=quantities)

    def units(self) -> tuple[Codes, Codes]:
        """Number of the sample and number of the field of every particle."""
        sample = group_numbers(self.condition, self.sample)
        return sample, group_numbers(self.condition, self.sample, self.field)

    def levels(self) -> tuple[Level, ...]:
        """The hierarchy to resample; samples are drawn within their condition."""
        return hierarchy(*self.units(), self.stratum)

    def compared_units(self) -> tuple[Codes, str]:
        """Number of the unit of every particle that tests compare whole, and what the units are.

        Samples where every condition has several, else fields: with one sample per condition nothing tells the samples
        from the conditions.
        """
        sample, field = self.units()
        counts = [len(np.unique(sample[self.condition == name])) for name in np.unique(self.condition)]
        return (sample, "samples") if min(counts, default=0) > 1 else (field, "fields")

    @property
    def stratum(self) -> Codes:
        """Number of the condition of every particle."""
        return group_numbers(self.condition)

    @property
    def small(self) -> Mask:
        """Particles below the split; one without a diameter is in no size group."""
        return self.diameter < self.split

    def size_groups(self) -> tuple[Mask, Mask, Mask]:
        """Masks of all, small and big particles, in the order of `SIZES`."""
        return np.ones(len(self.diameter), bool), self.small, self.diameter >= self.split

    def measured_groups(self) -> list[Mask]:
        """Masks of the size groups, of particles with a measured detachment that are not left out."""
        valid = self.kept & np.isfinite(self.detachment)
        return [valid & group for group in self.size_groups()]


def read_table(particles: xr.Dataset, options: AnalyzeOptions, conditions: Sequence[str] = ()) -> Table:
    """Read the columns of a particle table, without the rows that count in another field.

    Parameters
    ----------
    particles
        Particle table.
    options
        Size split, and how particles at the border are treated.
    conditions
        Conditions of the study in their order, those without particles among them; others follow in the order of their
        first particle.

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
    weight = _weights(particles, options)
    shown = dict.fromkeys([*shown_in(particles, "statistics"), *(name for name in COVARIATES if name in particles)])
    origin = {name: _names(particles, name) for name in ORIGIN}
    split = options.size_split
    return Table(
        detachment=_degrees(detachment),
        diameter=diameter,
        weight=weight,
        quantities={name: _numbers(particles, name) for name in shown if name != DETACHMENT},
        **origin,
        conditions=tuple(dict.fromkeys([*conditions, *origin["condition"].tolist()])),
        split=best_split(diameter, weight) if isinstance(split, str) else split,
    )


def best_split(diameter: Doubles, weight: Doubles) -> float:
    """Diameter that separates small from big particles best: Otsu's threshold of its logarithm.

    Parameters
    ----------
    diameter, weight
        (n,) micrometers and weights.

    Raises
    ------
    ValueError
        When fewer than two different diameters are known.
    """
    used = (diameter > 0) & (weight > 0)
    if len(np.unique(diameter[used])) < 2:
        raise ValueError("size_split is 'found'; expected a diameter, since fewer than two particle sizes are known")
    counts, edges = np.histogram(np.log(diameter[used]), SIZE_BINS, weights=weight[used])
    # the threshold is the middle of the last bin below; every place in a gap separates alike, so its middle is taken
    edge = edges[1:][np.searchsorted(edges, threshold_otsu(hist=(counts, (edges[:-1] + edges[1:]) / 2))) - 1]
    below = np.log(diameter[used]) < edge
    return float(np.sqrt(diameter[used][below].max() * diameter[used][~below].min()))


def _numbers(particles: xr.Dataset, name: str) -> Doubles:
    column = particles[name]
    if column.dims != ("particle",):
        raise ValueError(f"column {name!r} has dims {column.dims}; expected ('particle',)")
    return column.to_numpy().astype(np.float64)


def _degrees(values: Doubles) -> Doubles:
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


def _weights(particles: xr.Dataset, options: AnalyzeOptions) -> Doubles:
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
