"""The measure stage, 3D particles to a table with one row each; and the table of all fields together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tomostat.measure.options import MeasureOptions
from tomostat.options import StageOptions, is_within
from tomostat.stage import FieldStage, FieldWork, Json, StudyStage, Work

if TYPE_CHECKING:
    import xarray as xr

    from tomostat.layout import Layout
    from tomostat.study import Study


LEAST_SEPARATION = 2.7
"""Standard deviations between void and carbon-binder below which the detachment is not to be relied on: 2.3 where it is
wrong by 0.3, 3.1 and more where it is right within some hundredths."""


class MeasureStage(FieldStage[MeasureOptions]):
    """The particle table of a field, its contacts and its maps."""

    name = "measure"
    help = "Measure every particle: size, surface, detachment, resistance, cracks, density."
    options = MeasureOptions
    version = 19
    reads = ("grey", "phases", "particles")
    writes = ("table", "contacts", "maps")

    def check(self, study: Study) -> None:
        """Refuse measures that are not there, and a file that is not a density curve."""
        from tomostat.measure.particles import check_options

        check_options(self.options_of(study))

    def depends(self, work: FieldWork) -> Sequence[Json]:
        """Sample and condition of the field, the density curve, and all columns and measures of other packages.

        Names of columns stand here so that a measure that was added is measured by the next run; what else changes
        raises the version.
        """
        from tomostat.manifest import content_hash
        from tomostat.measure import chosen_measures

        sample = work.study.sample_of(work.field)
        options = self.options_of(work.study)
        curve = [] if options.curve is None else [content_hash(Path(options.curve))]
        chosen = chosen_measures(options)
        plugins = [plugin.identity for plugin in chosen.plugins]
        return [sample.name, sample.condition, *curve, *plugins, *chosen.columns]

    def outputs(self, layout: Layout, scope: str) -> Sequence[Path]:
        """Table, contacts and maps, which the metadata of the volume list."""
        volume = layout.volume(scope)
        return [layout.table(scope), layout.field_contacts(scope), volume / "maps", volume / "zarr.json"]

    def warnings(self, work: FieldWork) -> Sequence[str]:
        """Implausible sizes of particles, and contact that the image hardly shows."""
        from tomostat.datasets import open_particles

        table = open_particles(work.layout.table(work.field.name))
        return [*self._of_size(table, self.options_of(work.study).plausible_diameter), *self._of_contact(table)]

    def _of_size(self, table: xr.Dataset, limits: tuple[float, float]) -> Iterator[str]:
        """A median diameter that particles of electrodes do not have."""
        low, high = limits
        middle = float(table["equivalent_diameter"].median()) if table.sizes["particle"] else low
        if not is_within(middle, limits):
            yield (
                f"a median diameter of {middle:.3g} micrometers is implausible (expected {low:g} to {high:g}); look at "
                "the voxel size"
            )

    def _of_contact(self, table: xr.Dataset) -> Iterator[str]:
        """Void and carbon-binder that are hardly distinct."""
        from tomostat.measure.particles import SEPARATION

        separation = table.attrs.get(SEPARATION, float("inf"))
        if separation < LEAST_SEPARATION:
            yield (
                f"void and carbon-binder beside the particles are only {separation:.1f} standard deviations apart, as "
                "where films or gaps are thinner than twice the blur: the detachment may be far off"
            )

    def run(self, work: FieldWork) -> None:
        """Measure the particles batch by batch."""
        from tomostat.measure import measure_particles, write_particles

        layout, name, sample = work.layout, work.field.name, work.study.sample_of(work.field)
        table = measure_particles(
            layout.volume(name),
            options=self.options_of(work.study),
            field=name,
            sample=sample.name,
            condition=sample.condition,
            contacts=layout.field_contacts(name),
            graph=None if work.field.particles_given else layout.graph(name),
            execution=work.execution,
        )
        write_particles(layout.table(name), table)


class CollectStage(StudyStage[StageOptions]):
    """The tables of all fields in one; a particle that is in several fields of a sample counts in one of them."""

    name = "table"
    help = "Join the tables of all fields."
    options = StageOptions
    version = 3
    reads = ("table", "contacts")
    writes = ("particles of all fields",)
    part_of = "measure"

    def depends(self, work: Work) -> Sequence[Json]:
        """Where fields lie in their sample."""
        return [None if field.offset is None else list(field.offset) for field in work.study.fields]

    def outputs(self, layout: Layout, scope: str) -> Sequence[Path]:
        """The joined tables."""
        endings = (".csv", ".columns.csv", ".parquet")
        tables = [layout.particles, *(layout.particles.with_suffix(ending) for ending in endings)]
        return [*tables, layout.contacts]

    def run(self, work: Work) -> None:
        """Join tables and contacts."""
        from tomostat.measure import collect_particles

        layout, fields = work.layout, work.study.fields
        collect_particles(
            [layout.table(field.name) for field in fields],
            [layout.field_contacts(field.name) for field in fields],
            layout.particles,
            layout.contacts,
            offsets={field.name: field.offset for field in fields if field.offset is not None},
        )


MEASURE, COLLECT = MeasureStage(), CollectStage()
