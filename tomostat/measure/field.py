"""All particles of a field, and the columns that are computed from all of them at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tomostat.measure.contact.neighbours import ContactPairs
from tomostat.measure.measures import Arrays, FieldGroup, Measure, MeasureSet, ParticleGroup, Values
from tomostat.measure.options import MeasureOptions
from tomostat.measure.sampling.window import Window
from tomostat.measure.shape.moments import FixedPoint, Moments
from tomostat.phase import PhaseFit
from tomostat.plugins import Plugin, PluginError
from tomostat.volume import VolumeInfo


@dataclass
class FieldParticles:
    """What measures of a whole field are computed from. ``particles[name]`` is a column, computed on first use.

    Attributes
    ----------
    measures
        What is measured.
    moments
        Sums over the voxels of every particle, labels ascending.
    values
        What was measured particle by particle: values by column, by label.
    contacts
        Pairs of touching particles.
    info, fit, window
        The volume, what the phases stage found about it, and the window that the field is.
    options
        How to measure.
    original_ids
        (n,) int64 numbers of the particles 1 .. n in the labels that another program made; None where tomostat found
        the particles.
    confidence
        Probability that a particle is right, by its label; None where it is not known.
    """

    measures: MeasureSet
    moments: Moments
    values: Mapping[int, Values]
    contacts: ContactPairs
    info: VolumeInfo
    fit: PhaseFit
    window: Window
    options: MeasureOptions
    original_ids: NDArray[np.int64] | None = None
    confidence: pd.Series | None = None
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
    def grey_scaling(self) -> FixedPoint:
        """The scale on which grey values became integers."""
        return FixedPoint.of_range(*self.fit.percentiles)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column, (n, ...), of the shape and dtype that its measure declares.

        Raises
        ------
        KeyError
            When no measure declares that column.
        PluginError
            When the function of a measure fails, needs its own column, or computes what it does not declare.
        """
        if name not in self._columns:
            self._compute(name)
        return self._columns[name]

    def table(self) -> dict[str, NDArray[Any]]:
        """All columns of the table by name."""
        return {name: self[name] for name in self.measures.columns}

    def _compute(self, name: str) -> None:
        """Compute all columns of the group that a column belongs to."""
        plugin = self.measures.owner(name)
        if name in self._computing:
            raise PluginError(f"{plugin.name} needs its own column {name!r}")
        group = plugin.value
        self._computing |= {measure.name for measure in group.measures}
        found = self._of_field(plugin, group) if isinstance(group, FieldGroup) else self._of_particles(group)
        for measure in group.measures:
            column = found.get(measure.name)
            undefined = (measure.needs_volume and self.is_section) or (measure.needs_grey and self.info.rendered)
            if column is None or undefined:
                column = measure.missing_values(len(self))
            self._columns[measure.name] = self._checked(plugin, measure, column)

    def _of_particles(self, group: ParticleGroup) -> Arrays:
        """Columns from what was measured of each particle, with missing values for particles that have none."""
        columns = {}
        for measure in group.measures:
            missing = measure.missing_values(1)[0]
            given = [self.values.get(int(label), {}).get(measure.name, missing) for label in self.moments.label]
            columns[measure.name] = np.array(given, measure.dtype).reshape(len(self), *measure.shape)
        return columns

    def _of_field(self, plugin: Plugin[Any], group: FieldGroup) -> Arrays:
        """What a group computes for the whole field."""
        if plugin not in self.measures.plugins:
            found = group(self)
        else:
            with plugin.blame(f"the particles of {self.info.path}"):
                found = {name: np.asarray(values) for name, values in group(self).items()}
        refuse_undeclared(plugin, group.measures, found)
        return found

    def _checked(self, plugin: Plugin[Any], measure: Measure, column: NDArray[Any]) -> NDArray[Any]:
        """A column in its declared dtype; one of another shape is refused."""
        expected = (len(self), *measure.shape)
        if column.shape != expected:
            raise PluginError(f"{plugin.name} gives {measure.name} with shape {column.shape}; expected {expected}")
        with plugin.blame(f"the particles of {self.info.path}"):
            return measure.cast(column)


def refuse_undeclared(plugin: Plugin[Any], measures: Sequence[Measure], found: Mapping[str, object]) -> None:
    """Refuse columns that a function computes beside those that it declares.

    Raises
    ------
    PluginError
        With the name of the function and of the column.
    """
    unknown = sorted(set(found) - {measure.name for measure in measures})
    if unknown:
        raise PluginError(f"{plugin.name} computes {unknown[0]!r}, which it does not declare")
