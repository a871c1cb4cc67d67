"""What is measured of every particle: each column of the table is declared beside the function that computes it.

A function of single particles takes a `tomostat.measure.particle.Particle` and gives one value for each of its columns;
a function of a whole field takes `tomostat.measure.field.FieldParticles` and gives arrays. Either is decorated with the
columns that it computes::

    @of_particle(Measure(name="fragments", dtype="i8", units="1", long_name="pieces of active material", definition=...))
    def fragments(particle: Particle) -> Values:
        return {"fragments": ...}

Table, CSV, statistics, report and `tomostat info --columns` follow from the declaration. tomostat's own stand in the
packages that `QUESTIONS` names, where every module is looked through; those of installed packages are offered in the
group ``tomostat.measures`` of their entry points and named by the option ``extra`` of the measure stage.
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

QUESTIONS = ("shape", "contact", "transport", "interior", "sampling")
"""Packages that hold tomostat's own measures, in the order of their columns in the table."""

PLACES = ("report", "statistics")
"""Where a column may be shown: in the table of the report, and among the columns that are set against detachment."""

DTYPES = ("f8", "i8", "u4", "u1", "?", "U")
"""Kinds of values: numbers, whole numbers, flags, text."""

Value = float | int | bool | Sequence[float]
"""What a function of single particles gives for one column."""

Values = Mapping[str, Value]
Arrays = Mapping[str, NDArray[Any]]


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
        UDUNITS name; "1" has no unit, "" is no quantity.
    long_name
        What it is, for axes and people.
    definition
        How it is computed, with the source of a formula.
    missing
        When a particle has none: NaN for numbers, 0 for whole numbers, false for flags.
    dtype
        One of `DTYPES`.
    dims
        Dimensions after `particle`.
    needs_volume
        Has no meaning in a volume of a single slice.
    shown
        Places out of `PLACES`.
    heading
        Short name, for headings; `name` in words when not given.
    digits
        Decimals that are shown.
    internal
        Computed for other measures only; not a column of the table.
    """

    name: str
    units: str
    long_name: str
    definition: str = ""
    missing: str = ""
    dtype: str = "f8"
    dims: tuple[Axis, ...] = ()
    needs_volume: bool = False
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

    def nothing(self, count: int) -> NDArray[Any]:
        """The column of particles that have none."""
        shape = (count, *self.shape)
        return np.full(shape, np.nan) if self.dtype == "f8" else np.zeros(shape, self.dtype)

    def attributes(self) -> dict[str, Any]:
        """What the table says of the column."""
        told = {
            "units": self.units,
            "long_name": self.long_name,
            "definition": self.definition,
            "missing": self.missing,
        }
        return told | {
            "shown": list(self.shown), "heading": self.heading or self.name.replace("_", " "), "digits": self.digits,
        }  # fmt: skip


Given = TypeVar("Given")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Group(Generic[Given, Found]):
    """Columns with the function that computes them."""

    measures: tuple[Measure, ...]
    compute: Callable[[Given], Found]

    def __call__(self, given: Given) -> Found:
        """Compute the columns."""
        return self.compute(given)


class ParticleGroup(Group["Particle", Values]):
    """Columns that are computed particle by particle; what the function leaves out is missing."""


class FieldGroup(Group["FieldParticles", Arrays]):
    """Columns that are computed for all particles of a field at once; what the function leaves out is missing."""


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
"""Measures of installed packages."""


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

    def field_groups(self) -> list[tuple[Plugin[Any], FieldGroup]]:
        """Groups that are computed for all particles at once."""
        return [(plugin, plugin.value) for plugin in self.groups if isinstance(plugin.value, FieldGroup)]

    @property
    def measures(self) -> dict[str, Measure]:
        """All measures by name, internal ones among them."""
        return {measure.name: measure for plugin in self.groups for measure in plugin.value.measures}

    @property
    def columns(self) -> dict[str, Measure]:
        """The columns of the table."""
        return {name: measure for name, measure in self.measures.items() if not measure.internal}


def chosen_measures(options: MeasureOptions) -> MeasureSet:
    """tomostat's own measures, and those of other packages that the options name.

    Raises
    ------
    ValueError
        When there is none of that name, or a column of that name already.
    """
    plugins = tuple(MEASURES.get(name) for name in options.extra)
    owner = {measure.name: "tomostat" for plugin in built_in() for measure in plugin.value.measures}
    for plugin in plugins:
        for measure in plugin.value.measures:
            if measure.name in owner:
                raise ValueError(
                    f"measure {plugin.name!r} declares the column {measure.name!r}, which {owner[measure.name]} has"
                )
            owner[measure.name] = plugin.name
    return MeasureSet(built_in() + plugins, plugins)


@cache
def built_in() -> tuple[Plugin[ParticleGroup | FieldGroup], ...]:
    """tomostat's own groups of measures."""
    return tuple(_declared())


def _declared() -> Iterator[Plugin[ParticleGroup | FieldGroup]]:
    """Groups in all modules of the packages that `QUESTIONS` names."""
    for question in QUESTIONS:
        package = importlib.import_module(f"tomostat.measure.{question}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, ParticleGroup | FieldGroup):
                    yield Plugin(name, "", value)
