"""Annotation files of the VGG Image Annotator (VIA), versions 1 and 2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tomostat.annotations.regions import DrawnImage, Ellipse, Geometry, Polygons, Problems, Region, is_ignored


def read_via(content: Mapping[str, Any], classes: Sequence[str] | None, problems: Problems) -> Iterator[DrawnImage]:
    """Images and regions of a VIA file.

    Parameters
    ----------
    content
        What it contains.
    classes
        Names of what is a particle; all names when None.
    problems
        Where malformed entries and unknown classes are noted.
    """
    entries = content.get("_via_img_metadata", content)
    entries = list(entries.values()) if isinstance(entries, dict) else []
    if not entries or not all(isinstance(entry, dict) and {"filename", "regions"} <= set(entry) for entry in entries):
        problems.found.append("it is neither COCO nor VIA json")
        return
    for entry in entries:
        drawn = entry["regions"].values() if isinstance(entry["regions"], dict) else entry["regions"]
        regions = []
        with problems.at(f"{entry['filename']}: "):
            for number, region in enumerate(drawn):
                where = f"{entry['filename']}, region {number}: "
                with problems.at(where):
                    values = list(_classes(region.get("region_attributes", {})))
                    name = next((v for v in values if v.lower() == "ignore"), values[0] if values else "")
                    geometry = _geometry(region.get("shape_attributes", {}))
                    regions.append(Region(where, is_ignored(name, classes), geometry))
        yield DrawnImage(str(entry["filename"]), regions)


def _classes(attributes: Mapping[str, Any]) -> Iterator[str]:
    """Values of a region's attributes; of a group of check boxes, the names of those that are checked."""
    for value in attributes.values():
        if isinstance(value, dict):
            yield from (str(name) for name, checked in value.items() if checked)
        else:
            yield str(value)


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
