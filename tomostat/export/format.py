"""What a format is, what it is given, and the formats by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import xarray as xr

from tomostat.datasets import open_particles
from tomostat.layout import Layout
from tomostat.plugins import Registry


@dataclass(frozen=True)
class Results:
    """Finished results that are to be written for other programs.

    Attributes
    ----------
    layout
        Where they lie.
    fields
        Names of the fields that are wanted.
    labels
        Particles that are wanted, of a single field; None for all.
    """

    layout: Layout
    fields: tuple[str, ...]
    labels: tuple[int, ...] | None = None

    @cached_property
    def particles(self) -> xr.Dataset:
        """The particle table, of the wanted fields and particles."""
        table = open_particles(self.layout.particles)
        wanted = np.isin(table["field"].to_numpy().astype(str), self.fields)
        if self.labels is not None:
            wanted &= np.isin(table["label"].to_numpy(), self.labels)
        return table.isel(particle=np.flatnonzero(wanted))

    def particles_of(self, field: str) -> xr.Dataset:
        """The rows of `particles` that belong to one field."""
        return self.particles.isel(particle=np.flatnonzero(self.particles["field"].to_numpy().astype(str) == field))


@dataclass(frozen=True)
class Plan:
    """What there is to write: nothing is done before a piece is called.

    Attributes
    ----------
    pieces
        Pieces of work by a name that sorts: each is given the folder to write its own files into. They are sent to the
        workers, so they are functions of modules, or `functools.partial` of those.
    memory
        Bytes that one piece takes at most.
    disk
        Bytes that all files take at least.
    """

    pieces: Mapping[str, Callable[[Path], object]]
    memory: int = 0
    disk: int = 0


class Format(ABC):
    """Writes results for other programs.

    Attributes
    ----------
    about
        What it writes and what opens it, in a few words.
    chooses
        Whether it can write some particles only.
    """

    about: ClassVar[str]
    chooses: ClassVar[bool] = False

    @abstractmethod
    def plan(self, results: Results) -> Plan:
        """What there is to write.

        Raises
        ------
        ValueError
            When the results do not go into this format; the message says why.
        """


FORMATS: Registry[Format] = Registry(
    "format", "tomostat.formats", lambda value: isinstance(value, Format), "a tomostat.export.Format",
    package="tomostat.export.formats", attribute="FORMAT",
)  # fmt: skip
"""Formats, tomostat's own and those of installed packages."""
