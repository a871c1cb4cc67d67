"""Single particles in 3D with the local resistance over their surface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.phase import Phase
from tomostat.report.data import ReportData
from tomostat.report.drawing import scale_bar
from tomostat.report.fields import FieldView
from tomostat.report.figures.gallery import chosen_particles, labelled_fields
from tomostat.report.kernels import raycast
from tomostat.report.pictures import reach_of
from tomostat.report.sections import Section
from tomostat.report.style import PHASES, frameless, new_figure, resistance_map
from tomostat.report.tables import particle_rows

RESISTANCES = ("resistance_mean", "resistance_mean_std", "resistance_std", "resistance_max")
GAP_DEPTH = 4.0
"""Voxels of the void along the detached surface that are drawn."""
STEPS = 250
"""Colours of the scale."""


@dataclass(frozen=True)
class ColouredParticle:
    """A particle whose surface is coloured.

    Attributes
    ----------
    mask
        (z, y, x) bool.
    values
        (z, y, x) float32, NaN off the surface and where it is unknown.
    spacing
        Voxel size (z, y, x) in micrometers.
    void
        (z, y, x) bool, pores between the particle and the carbon-binder around it.
    title
        Heading of its pictures.
    """

    mask: NDArray[np.bool_]
    values: NDArray[np.float32]
    spacing: tuple[float, float, float]
    void: NDArray[np.bool_]
    title: str


def surfaces(data: ReportData) -> str:
    """Some particles of the gallery with their resistance, from two sides; nothing where there are no maps."""
    views = labelled_fields(data)
    found = [
        one for row in _with_resistance(data) if (one := _read(data.counted.isel(particle=row), views)) is not None
    ]
    if not found:
        return ""
    picture = data.png_figure(
        "resistance-surface",
        draw_surfaces(found),
        "Particles in 3D with the void around them, and coloured by the local resistance of their surface.",
        "<b>Void and local resistance.</b> Left: the particle with the void along its detached surface. Then its "
        "local resistance from the front and, turned by half a turn about z, from behind: detour of electrons to the "
        "nearest contact with carbon-binder, in equivalent radii. Palest: in contact; grey: unknown. After Fig. 2 of "
        "Jiang et al. (2020). <code>tomostat export</code> writes such surfaces for ParaView and Blender.",
        particle_rows(data.counted.isel(particle=_with_resistance(data)), "detachment", *RESISTANCES),
    )
    return f"<h3>Local resistance</h3>{picture}"


def _read(one: xr.Dataset, views: Mapping[str, FieldView]) -> ColouredParticle | None:
    """A particle and the map of its resistance; None where it has none."""
    view, label = views[str(one["field"].item())], int(one["label"])
    centre, reach = one["centroid"].to_numpy(), reach_of(float(one["equivalent_diameter"]))
    values = view.image_cube("maps/resistance", centre, reach)
    if values is None:
        return None
    mask = view.labels_around(centre, reach) == label
    values = np.where(mask, values, np.float32(np.nan))
    if not np.isfinite(values).any():
        return None
    title = f"{100 * float(one['detachment']):.0f} % detached, {escape(view.name)}, label {label}"
    phases = view.image_cube("phases", centre, reach)
    return ColouredParticle(mask, values, view.info.spacing, void_around(mask, phases, values), title)


def void_around(mask: NDArray[np.bool_], phases: NDArray[np.uint8] | None, values: NDArray[np.float32]) -> Any:
    """Pores next to the detached surface of a particle, up to `GAP_DEPTH` voxels from it, (z, y, x) bool."""
    if phases is None:
        return np.zeros(mask.shape, bool)
    distance = ndimage.distance_transform_edt(~(mask & (values > 0)))
    near = ndimage.distance_transform_edt(~mask)
    facing = near >= distance - 1.0  # what lies beyond the surface in contact belongs to no gap
    return (phases == Phase.PORE) & ~mask & (distance <= GAP_DEPTH) & facing


def _draw_void(axes: Any, one: ColouredParticle) -> float:
    """The particle with the void that detaches it, from the front; gives what `_show` does."""
    labels = np.where(one.mask, 1, np.where(one.void, 2, 0)).astype(np.uint8)
    colours = np.array([(0.0, 0.0, 0.0), to_rgb(PHASES[Phase.ACTIVE][1]), to_rgb(PHASES[Phase.PORE][1])])
    picture, place = raycast.render(labels, one.spacing, colours, 420)
    return _show(axes, picture, place)


def draw_surfaces(particles: Sequence[ColouredParticle]) -> Figure:
    """Every particle from two sides, one scale of colours for all."""
    top = max(float(np.nanmax(one.values)) for one in particles) or 1.0
    wide = 2.3 * 3
    figure = new_figure(8.2, 2.6 * len(particles))
    rows: Any = figure.subfigures(len(particles), 2, width_ratios=[wide, 0.9], squeeze=False)
    for (part, side), one in zip(rows, particles, strict=True):
        part.suptitle(one.title, size=9)
        panels = part.subplots(1, 3)
        sides = zip(panels[1:], (False, True), strict=True)
        reach = 1.08 * max(_draw_void(panels[0], one), *(_draw_side(axes, one, top, turned) for axes, turned in sides))
        for axes in panels:
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
        scale_bar(panels[0], reach)
        scale = ScalarMappable(Normalize(0, top), resistance_map())
        bar = figure.colorbar(scale, cax=side.add_axes((0.1, 0.1, 0.15, 0.75)))
        bar.set_label("local resistance")
        bar.outline.set_visible(False)
    return figure


def _draw_side(axes: Any, one: ColouredParticle, top: float, turned: bool) -> float:
    mask, values = one.mask, one.values
    if turned:
        mask, values = mask[:, ::-1, ::-1], values[:, ::-1, ::-1]
    shown = colour_indices(mask, values, top)
    colours = np.vstack([np.zeros(3), resistance_map()(np.nan)[:3], resistance_map()(np.linspace(0, 1, STEPS))[:, :3]])
    picture, place = raycast.render(mask.astype(np.uint8), one.spacing, colours, 420, shown)
    return _show(axes, picture, place)


def _show(axes: Any, picture: NDArray[np.float32], place: NDArray[np.float64]) -> float:
    """A picture in the middle of axes; gives how far from there something is seen, in micrometers."""
    height, width = place[3] - place[2], place[1] - place[0]
    axes.imshow(picture, extent=(-width / 2, width / 2, -height / 2, height / 2), interpolation="antialiased")
    axes.set(xticks=[], yticks=[])
    frameless(axes)
    seen = np.argwhere(picture[..., 3] > 0) / picture.shape[:2] - 0.5
    return float(np.abs(seen * (height, width)).max(initial=0.0)) or max(height, width) / 2


def colour_indices(mask: NDArray[np.bool_], values: NDArray[np.float32], top: float) -> NDArray[np.int64]:
    """Index of the colour of every voxel: 0 outside, 1 unknown, 2 and more from 0 to `top`.

    Values are averaged over a voxel or so, so that the picture does not show single voxels.
    """
    known = np.isfinite(values)
    weight = ndimage.gaussian_filter(known.astype(np.float32), 1.0)
    total = ndimage.gaussian_filter(np.where(known, values, np.float32(0)), 1.0)
    mean = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    step = 2 + np.rint(np.clip(mean / top, 0, 1) * (STEPS - 1)).astype(np.int64)
    return np.where(known, step, mask.astype(np.int64))


def _with_resistance(data: ReportData) -> list[int]:
    """Rows of the first typical and of the first most detached particle of the gallery with a finite resistance."""
    if "resistance_mean" not in data.counted:
        return []
    known = np.isfinite(data.counted["resistance_mean"].to_numpy())
    found = [next((row for row in rows if known[row]), None) for _, rows in chosen_particles(data)[-2:]]
    return [row for row in found if row is not None]


SURFACES = Section(anchor="gallery", position=71, make=surfaces)
