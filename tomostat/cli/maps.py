"""Commands on two-dimensional maps: correlate, xanes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from tomostat.cli.app import FLAT, app
from tomostat.cli.studies import chosen_field, study_in
from tomostat.correlate.options import CorrelateOptions
from tomostat.xanes.options import XanesOptions


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


@app.command(sort_key=28)
def xanes(
    stack: Path,
    energy: Path,
    /,
    *,
    to: Path,
    standards: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = (),
    options: Annotated[XanesOptions | None, FLAT] = None,
) -> None:
    """Map edge energy and valence from a stack of absorption images over photon energies.

    Parameters
    ----------
    stack
        Absorption (optical density) images, one for each energy; TIFF, npy, HDF5 or whatever `tomostat ingest` reads.
    energy
        Text file with one energy in eV a line.
    to
        Folder for the maps.
    standards
        Edge energies in eV and valences of standards, as ENERGY=VALENCE; a line through them gives the valence.
    """
    import numpy as np

    from tomostat.xanes import valence_map, write_valence_map
    from tomostat.xanes.stack import open_stack, read_energies

    found = valence_map(
        open_stack(stack), read_energies(energy), standards=_standards(standards), options=options or XanesOptions()
    )
    write_valence_map(to, found)
    edge = found["edge_energy"].to_numpy()
    print(f"edge energy: median {np.nanmedian(edge):.2f} eV in {np.isfinite(edge).sum()} of {edge.size} pixels")
    print(f"maps: {to}")


def _standards(pairs: Sequence[str]) -> list[tuple[float, float]]:
    found = []
    for pair in pairs:
        energy, equals, valence = pair.partition("=")
        try:
            found.append((float(energy), float(valence)))
        except ValueError:
            equals = ""
        if not equals:
            raise ValueError(f"standards has {pair!r}; expected ENERGY=VALENCE, two numbers")
    return found
