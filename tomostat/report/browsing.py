"""Slices of fields to browse on the page: grey values, particles, phases and maps, as one line of text each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import dask
import numpy as np
from dask.delayed import Delayed

from tomostat.blocks import box_of
from tomostat.execution import Execution
from tomostat.report.embedding import base64_text, webp
from tomostat.report.fields import FieldView, level_spacing
from tomostat.report.kernels.layers import grey_layer, label_layer, map_layer
from tomostat.volume import VolumeInfo, read_box
from tomostat.volume.store import CHUNK

BUDGET = 6_000_000
"""Characters of the page that slices of all fields take at most, about."""
PER_PIXEL = 0.32
"""Characters of a slice per pixel; measured on noisy images."""
FEWEST, MOST = 5, 64
"""Slices of a field."""
WIDE = 512
"""Pixels of a slice along its longer side."""
QUALITY = 45
"""Quality of grey values, from 0 to 100."""


def browsing_level(info: VolumeInfo) -> int:
    """The finest level whose slices are no wider than `WIDE`."""
    return next((i for i, shape in enumerate(info.levels) if max(shape[1:]) <= WIDE), len(info.levels) - 1)


def slice_places(views: Sequence[FieldView]) -> dict[str, list[int]]:
    """Slices of every field, evenly spread, as indices at its `browsing_level`."""
    places = {}
    for view in views:
        depth, rows, columns = view.info.levels[browsing_level(view.info)]
        count = int(np.clip(BUDGET / (len(views) * rows * columns * PER_PIXEL), FEWEST, MOST))
        step = max(depth / count, 1.0)
        places[view.name] = sorted({int((i + 0.5) * step) for i in range(round(depth / step))})
    return places


def field_slices(
    views: Sequence[FieldView], rows: Mapping[str, Mapping[int, int]], top: float, execution: Execution
) -> dict[str, list[str]]:
    """Slices of fields.

    Parameters
    ----------
    views
        The fields.
    rows
        Row of the particle table by label, for every field.
    top
        Local resistance at the end of the scale of colours.
    execution
        Where tasks run.

    Returns
    -------
    dict
        For every field one line per slice of `slice_places`, ``grey,labels,maps``: base64 of WebP, the last two
        lossless; see `tomostat.report.kernels.layers`.
    """
    draw = dask.delayed(_draw_slices, pure=False)
    tasks: dict[str, Delayed] = {}
    owners: dict[str, str] = {}
    places = slice_places(views)
    for view in views:
        known = dict(rows.get(view.name, {}))
        for _, near in groupby(places[view.name], lambda place: place // CHUNK[0]):
            key = f"{len(tasks):06d}"
            owners[key] = view.name
            tasks[key] = draw(view, list(near), known, top)
    lines: dict[str, list[str]] = {view.name: [] for view in views}
    for key, drawn in execution.run("slices", tasks).items():
        lines[owners[key]] += drawn
    return lines


def _draw_slices(view: FieldView, places: Sequence[int], rows: Mapping[int, int], top: float) -> list[str]:
    """Lines of some slices of a field that lie in the same chunks, which are read once."""
    level = browsing_level(view.info)
    _, y, x = box_of(view.info.levels[level])
    box = slice(places[0], places[-1] + 1), y, x
    grey = read_box(view.info.path, box, level=level)
    stacks = [view.read(name, box, level) for name in ("particles", "phases", "maps/resistance", "maps/contact")]
    lines = []
    for index in (place - places[0] for place in places):
        labels, phases, resistance, contact = (None if stack is None else stack[index] for stack in stacks)
        layers = (
            webp(grey_layer(grey[index]), QUALITY),
            webp(label_layer(grey.shape[1:], labels, phases, rows)),
            webp(map_layer(grey.shape[1:], [(resistance, top), (contact, 1.0)])),
        )
        lines.append(",".join(map(base64_text, layers)))
    return lines


def described_field(view: FieldView, condition: str, places: Sequence[int]) -> dict[str, Any]:
    """What the page knows of a field and of its slices at some places: lengths in micrometers."""
    level = browsing_level(view.info)
    spacing = level_spacing(view.info, level)
    heights = [float(f"{place * spacing[0]:.4g}") for place in places]
    return {"name": view.name, "condition": condition, "pixel": spacing[1:], "places": heights}
