"""All particles of a field, and the columns that follow from all of them at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomostat.measure.contact.neighbours import Contacts
from tomostat.measure.measures import Arrays, FieldGroup, MeasureSet, Values
from tomostat.measure.options import MeasureOptions
from tomostat.measure.sampling.window import Window
from tomostat.measure.shape.moments import FixedPoint, Moments
from tomostat.phase import PhaseFit
from tomostat.plugins import Plugin, PluginError
from tomostat.volume import VolumeInfo


@dataclass
class FieldParticles:
    """What measures of a whole field are computed from. ``particles[name]`` is a column, computed when it is asked for.

    Attributes
    ----------
    measures
        What is measured.
    moments
        Sums over the voxels of every particle, labels ascending.
    rows
        What was measured particle by particle, by label.
    contacts
        Pairs of touching particles.
    info, fit, window
        The volume, what the phases stage found about it, and the window that the field is.
    options
        How to measure.
    """

    measures: MeasureSet
    moments: Moments
    rows: Mapping[int, Values]
    contacts: Contacts
    info: VolumeInfo
    fit: PhaseFit
    window: Window
    options: MeasureOptions
    _columns: dict[str, NDArray[Any]] = field(default_factory=dict, init=False)
    _computing: set[str] = field(default_factory=set, init=False)

    def __len__(self) -> int:
        return len(self.moments)

    @property
    def is_section(self) -> bool:
        """Whether the field is a single slice."""
        return self.info.shape[0] == 1

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size (z, y, x) in micrometers."""
        return self.info.spacing

    @property
    def fixed(self) -> FixedPoint:
        """How grey values became integers."""
        return FixedPoint.of_range(*self.fit.percentiles)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column, (n, ...).

        Raises
        ------
        KeyError
            When no measure has that name.
        """
        if name not in self._columns:
            self._compute(name)
        return self._columns[name]

    def table(self) -> dict[str, NDArray[Any]]:
        """All columns of the table by name."""
        return {name: self[name] for name in self.measures.columns}

    def _compute(self, name: str) -> None:
        """Compute the group that a column belongs to."""
        plugin, group = next(
            (plugin, plugin.value)
            for plugin in self.measures.groups
            if any(measure.name == name for measure in plugin.value.measures)
        )
        if plugin.name in self._computing:
            raise PluginError(f"{plugin.name} needs its own column {name!r}")
        self._computing.add(plugin.name)
        found = self._of_field(plugin, group) if isinstance(group, FieldGroup) else {}
        for measure in group.measures:
            values = found.get(measure.name)
            if isinstance(group, FieldGroup):
                column = measure.nothing(len(self)) if values is None else values
            else:
                nothing = measure.nothing(1)[0]
                given = [self.rows.get(int(label), {}).get(measure.name, nothing) for label in self.moments.label]
                column = np.array(given, measure.dtype).reshape(len(self), *measure.shape)
            if column.shape != (len(self), *measure.shape):
                raise PluginError(
                    f"{plugin.name} gives {measure.name} with shape {column.shape}; "
                    f"expected {(len(self), *measure.shape)}"
                )
            self._columns[measure.name] = column.astype(measure.dtype)

    def _of_field(self, plugin: Plugin[Any], group: FieldGroup) -> Arrays:
        """What a group computes for the whole field."""
        if plugin not in self.measures.plugins:
            found = group(self)
        else:
            with plugin.blame(f"the particles of {self.info.path}"):
                found = {name: np.asarray(values) for name, values in group(self).items()}
        refuse_undeclared(plugin, group.measures, found)
        return found


def refuse_undeclared(plugin: Plugin[Any], measures: Any, found: Mapping[str, object]) -> None:
    """Refuse what a function computes beside the columns that it declares.

    Raises
    ------
    PluginError
        With the name of the function and of the column.
    """
    unknown = sorted(set(found) - {measure.name for measure in measures})
    if unknown:
        raise PluginError(f"{plugin.name} computes {unknown[0]!r}, which it does not declare")
