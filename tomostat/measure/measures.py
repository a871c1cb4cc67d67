"""What is measured of every particle: each column of the table is declared beside the function that computes it.

A function of single particles takes a `tomostat.measure.particle.Particle` and gives one value for each of its columns;
a function of a whole field takes `tomostat.measure.field.FieldParticles` and gives arrays. Either is decorated with the
columns that it computes::

    @of_particle(Measure(name="fragments", dtype="i8", units="1", long_name="pieces of active material"))
    def fragments(particle: Particle) -> Values:
        return {"fragments": ...}

Table, CSV, statistics, report and `tomostat info --columns` follow from the declaration. tomostat's own measures are
found in all modules of the packages that `TOPICS` names. Other packages offer theirs as entry points of the group
``tomostat.measures``; the option ``extra`` of the measure stage names those that are to be computed.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tomostat.measure.options import MeasureOptions
from tomostat.options import check
from tomostat.plugins import Plugin, Registry

if TYPE_CHECKING:
    from tomostat.measure.field import FieldParticles
    from tomostat.measure.particle import Particle

TOPICS = ("shape", "contact", "transport", "interior", "sampling")
"""Packages that hold tomostat's own measures, in the order of their columns in the table."""

SMALLEST = 27
"""Least number of voxels of a particle whose surface is measured."""

TOO_SMALL = f"for particles of fewer than {SMALLEST} voxels"
"""When a column that needs the surface is missing."""

PLACES = ("report", "statistics")
"""Where a column may be shown: in the table of the report, and in medians and correlations with the detachment."""

DTYPES = ("f8", "i8", "u4", "u1", "?", "U")
"""numpy dtypes of columns: float64, int64, uint32, uint8, bool, text."""

Value = float | int | bool | Sequence[float]
"""What a function of single particles gives for one column: a scalar, or a nested sequence over the column's dims."""

Values = Mapping[str, Value]
"""What a function of single particles gives, by column."""

Arrays = Mapping[str, NDArray[Any]]
"""What a function of a whole field gives, by column: arrays (n, ...) in the order of the particles."""


@dataclass(frozen=True)
class Axis:
    """A dimension of the table beside `particle`, with its coordinates."""

    name: str
    coordinates: tuple[str | int | float, ...]

    def __len__(self) -> int:
        return len(self.coordinates)


AXIS = Axis("axis", ("z", "y", "x"))


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One column of the particle table.

    Attributes
    ----------
    name
        Name of the column.
    units
        UDUNITS name; "1" for a number without unit, "" for what is not a quantity.
    long_name
        What it is in a few words, for axes and legends.
    definition
        How it is computed, with the source of a formula.
    missing
        When a particle has no value: NaN for floats, 0 for integers, false for flags.
    dtype
        One of `DTYPES`.
    dims
        Dimensions after `particle`.
    needs_volume
        Undefined, and so missing, in a volume of a single slice.
    needs_grey
        Undefined, and so missing, in a field without grey values, of which only labels or phases are given.
    shown
        Where the column is shown, some of `PLACES`.
    heading
        Short name, for headings; `name` with spaces when not given.
    digits
        Decimals that are shown.
    internal
        Whether it is computed for other measures only and is not a column of the table.
    """

    name: str
    units: str
    long_name: str
    definition: str = ""
    missing: str = ""
    dtype: str = "f8"
    dims: tuple[Axis, ...] = ()
    needs_volume: bool = False
    needs_grey: bool = False
    shown: tuple[str, ...] = ()
    heading: str = ""
    digits: int = 3
    internal: bool = False

    def __post_init__(self) -> None:
        check(self.name.isidentifier(), "name of a measure", self.name, "letters, digits and underscores")
        check(self.dtype in DTYPES, f"dtype of {self.name}", self.dtype, f"one of {', '.join(DTYPES)}")
        check(set(self.shown) <= set(PLACES), f"shown of {self.name}", self.shown, f"some of {', '.join(PLACES)}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one particle's value."""
        return tuple(len(axis) for axis in self.dims)

    def missing_values(self, count: int) -> NDArray[Any]:
        """A column (count, ...) without any value."""
        shape = (count, *self.shape)
        return np.full(shape, np.nan) if self.dtype == "f8" else np.zeros(shape, self.dtype)

    def cast(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values in the declared dtype.

        Raises
        ------
        ValueError
            When a column of integers cannot hold them: NaN, fractions, numbers out of range.
        """
        with np.errstate(invalid="ignore"):
            held = values.astype(self.dtype)
        if held.dtype.kind in "iu" and not np.array_equal(held, values):
            raise ValueError(f"{self.name} is {values[held != values].tolist()[0]}; expected {held.dtype.name}")
        return held

    def attributes(self) -> dict[str, Any]:
        """The declaration as attributes of the column in the table."""
        return {
            "units": self.units,
            "long_name": self.long_name,
            "definition": self.definition,
            "missing": self.missing,
            "shown": list(self.shown),
            "heading": self.heading or self.name.replace("_", " "),
            "digits": self.digits,
        }


Input = TypeVar("Input")
Output = TypeVar("Output")


@dataclass(frozen=True)
class Group(Generic[Input, Output]):
    """Columns with the function that computes them."""

    measures: tuple[Measure, ...]
    compute: Callable[[Input], Output]

    def __call__(self, particles: Input) -> Output:
        """Compute the columns."""
        return self.compute(particles)


class ParticleGroup(Group["Particle", Values]):
    """Columns that are computed particle by particle; columns that the function leaves out are missing."""


class FieldGroup(Group["FieldParticles", Arrays]):
    """Columns that are computed for all particles of a field at once; columns that it leaves out are missing."""


def of_particle(*measures: Measure) -> Callable[[Callable[[Particle], Values]], ParticleGroup]:
    """Declare the columns that a function computes particle by particle."""
    return lambda compute: ParticleGroup(measures, compute)


def of_field(*measures: Measure) -> Callable[[Callable[[FieldParticles], Arrays]], FieldGroup]:
    """Declare the columns that a function computes for all particles of a field at once."""
    return lambda compute: FieldGroup(measures, compute)


MEASURES: Registry[ParticleGroup | FieldGroup] = Registry(
    "measure", "tomostat.measures", lambda value: isinstance(value, ParticleGroup | FieldGroup),
    "a function decorated with tomostat.measure.of_particle or of_field",
)  # fmt: skip
"""Measures that other packages offer; those of tomostat itself are `built_in`."""


@dataclass(frozen=True)
class MeasureSet:
    """Everything that is measured in one run.

    Attributes
    ----------
    groups
        Groups with their names, in the order of their columns.
    plugins
        Those among them that come from other packages.
    """

    groups: tuple[Plugin[ParticleGroup | FieldGroup], ...]
    plugins: tuple[Plugin[ParticleGroup | FieldGroup], ...] = ()

    def particle_groups(self) -> list[tuple[Plugin[Any], ParticleGroup]]:
        """Groups that are computed particle by particle."""
        return [(plugin, plugin.value) for plugin in self.groups if isinstance(plugin.value, ParticleGroup)]

    @property
    def measures(self) -> dict[str, Measure]:
        """All measures by name, internal ones among them."""
        return {measure.name: measure for plugin in self.groups for measure in plugin.value.measures}

    @property
    def columns(self) -> dict[str, Measure]:
        """The columns of the table by name, in their order."""
        return {name: measure for name, measure in self.measures.items() if not measure.internal}

    def owner(self, name: str) -> Plugin[ParticleGroup | FieldGroup]:
        """The group that computes a column.

        Raises
        ------
        KeyError
            When no measure declares it.
        """
        for plugin in self.groups:
            if any(measure.name == name for measure in plugin.value.measures):
                return plugin
        raise KeyError(f"no measure declares the column {name!r}")


def chosen_measures(options: MeasureOptions) -> MeasureSet:
    """Measures of tomostat itself, and those of other packages that the options name.

    Raises
    ------
    ValueError
        When there is no measure of that name, its column exists already, or its dimensions do not fit the table.
    """
    from tomostat.measure.table import KEYS

    plugins = tuple(MEASURES.get(name) for name in options.extra)
    owner = {measure.name: "tomostat" for measure in KEYS}
    owner |= {measure.name: "tomostat" for plugin in built_in() for measure in plugin.value.measures}
    for plugin in plugins:
        for measure in plugin.value.measures:
            if measure.name in owner:
                raise ValueError(
                    f"measure {plugin.name!r} declares the column {measure.name!r}, which {owner[measure.name]} has"
                )
            owner[measure.name] = plugin.name
    chosen = MeasureSet(built_in() + plugins, plugins)
    _check_dimensions(chosen, owner)
    return chosen


def _check_dimensions(chosen: MeasureSet, owner: Mapping[str, str]) -> None:
    """Refuse dimensions that are named like a column, or that have different coordinates in different measures."""
    known = {"particle": Axis("particle", ())}
    for measure in chosen.measures.values():
        for axis in measure.dims:
            if known.setdefault(axis.name, axis) != axis:
                raise ValueError(
                    f"measure {owner[measure.name]!r} gives the dimension {axis.name!r} of {measure.name} coordinates "
                    "other than those that it has in the table"
                )
    for name in known:
        if name in owner:
            raise ValueError(f"measure {owner[name]!r} names a column {name!r}, which is a dimension of the table")


@cache
def built_in() -> tuple[Plugin[ParticleGroup | FieldGroup], ...]:
    """Groups of measures of tomostat itself, in the order of their columns."""
    return tuple(_declared())


def _declared() -> Iterator[Plugin[ParticleGroup | FieldGroup]]:
    """Groups that the modules of the packages in `TOPICS` declare."""
    for topic in TOPICS:
        package = importlib.import_module(f"tomostat.measure.{topic}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, ParticleGroup | FieldGroup) and value.compute.__module__ == module.name:
                    yield Plugin(name, "", value)
