"""Annotation files of the VGG Image Annotator (VIA), versions 1 and 2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tomostat.detect.annotations.regions import DrawnImage, Ellipse, Geometry, Polygons, Region, is_ignored, located_at


def read_via(path: Path, content: Mapping[str, Any], classes: Sequence[str] | None) -> Iterator[DrawnImage]:
    """Images and regions of a VIA file.

    Parameters
    ----------
    path
        The file, for messages.
    content
        What it contains.
    classes
        Names of what is a particle; all names when None.

    Raises
    ------
    ValueError
        When the file is malformed, or a class is unknown.
    """
    entries = content.get("_via_img_metadata", content)
    if not all(isinstance(entry, dict) and {"filename", "regions"} <= set(entry) for entry in entries.values()):
        raise ValueError(f"{path} is neither COCO nor VIA json")
    for entry in entries.values():
        found = entry["regions"].values() if isinstance(entry["regions"], dict) else entry["regions"]
        regions = []
        for number, region in enumerate(found):
            where = f"{path}, {entry['filename']}, region {number}"
            values = [str(value) for value in region.get("region_attributes", {}).values()]
            name = next((v for v in values if v.lower() == "ignore"), values[0] if values else "")
            with located_at(where):
                geometry = _geometry(region.get("shape_attributes", {}))
            regions.append(Region(where, is_ignored(where, name, classes), geometry))
        yield DrawnImage(entry["filename"], regions)


def _geometry(shape: Mapping[str, Any]) -> Geometry:
    """Polygons or an ellipse from the attributes of a shape."""
    name = shape.get("name")
    if name in ("polygon", "polyline"):
        return Polygons([np.stack([shape["all_points_y"], shape["all_points_x"]], 1).astype(float)])
    if name == "rect":
        y, x, h, w = (float(shape[key]) for key in ("y", "x", "height", "width"))
        return Polygons([np.array([[y, x], [y, x + w], [y + h, x + w], [y + h, x]])])
    if name in ("circle", "ellipse"):
        radius_y, radius_x = (shape["r"], shape["r"]) if name == "circle" else (shape["ry"], shape["rx"])
        return Ellipse(shape["cy"], shape["cx"], radius_y, radius_x, -float(shape.get("theta", 0)))
    raise ValueError(f"shape is {name!r}; expected polygon, polyline, rect, circle or ellipse")
