"""Commands on two-dimensional maps: correlate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from tomostat.cli.app import FLAT, app
from tomostat.cli.studies import chosen_field, study_in
from tomostat.correlate.options import CorrelateOptions


@app.command(sort_key=27)
def correlate(
    first: Path,
    second: Path,
    /,
    *,
    to: Path,
    field: str | None = None,
    label: int | None = None,
    axis: Literal["z", "y", "x"] = "z",
    pixels: tuple[float, float] | None = None,
    options: Annotated[CorrelateOptions | None, FLAT] = None,
) -> None:
    """Correlate two maps of the same particle: register them, mask them, tell their correlation with intervals.

    Parameters
    ----------
    first
        An image, a volume that is projected along `axis`, or the output folder of a study, whose particle `label` of
        `field` is projected.
    second
        An image or a volume; TIFF, npy, HDF5 or whatever `tomostat ingest` reads. Of a file with several datasets, the
        one to read stands after a colon: FILE.h5:entry/map.
    to
        Folder for the figure, the registered maps and the numbers.
    field
        Field of the particle; needed where the study has several.
    label
        Particle, as in column label of the particle table.
    axis
        Axis along which volumes and particles are averaged.
    pixels
        Pixel sizes of both in micrometers, where the files do not tell; 0 leaves what the file tells.
    """
    from tomostat.correlate import correlate_maps, project_particle, read_map, write_correlation

    chosen = options or CorrelateOptions()
    sizes = [size or None for size in pixels or (None, None)]
    if label is None:
        a = read_map(first, pixel=sizes[0], axis=axis)
    else:
        a = project_particle(first, chosen_field(study_in(first), field), label, axis=axis)
    b = read_map(second, pixel=sizes[1], axis=axis)
    found = correlate_maps(a, b, chosen)
    write_correlation(to, found, a, b, chosen)
    print(found.sentence(chosen.confidence))
    for note in found.notes:
        print(note)
    print(f"figure and maps: {to}")
