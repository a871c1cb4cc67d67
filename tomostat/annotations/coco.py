"""Annotation files in COCO's format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tomostat.annotations.regions import (
    DrawnImage,
    Geometry,
    Polygons,
    Problems,
    Region,
    RunLengths,
    is_ignored,
)


def read_coco(content: Mapping[str, Any], classes: Sequence[str] | None, problems: Problems) -> Iterator[DrawnImage]:
    """Images and regions of a COCO file.

    Parameters
    ----------
    content
        What it contains.
    classes
        Names of what is a particle; all names when None.
    problems
        Where malformed entries and unknown classes are noted.
    """
    if "images" not in content:
        problems.found.append("it has annotations but no images; expected COCO json")
        return
    images, names = {}, {}
    with problems.at(""):
        images = _by_id(content["images"], "image", problems)
        names = _by_id(content.get("categories", []), "category", problems)
    regions: dict[str, list[Region]] = {key: [] for key in images}
    seen: set[str] = set()
    for item in content["annotations"] if isinstance(content["annotations"], list) else ():
        number = str(item.get("id")) if isinstance(item, dict) else "?"
        with problems.at(f"annotation {number}: "):
            if number in seen and number != "None":
                raise ValueError("its id is that of another annotation")
            seen.add(number)
            image, category = str(item.get("image_id")), str(item.get("category_id"))
            if image not in images:
                raise ValueError(f"image_id is {image!r}, which the file does not list")
            if names and category not in names:
                raise ValueError(f"category_id is {category}; expected one of {', '.join(names)}")
            name = "ignore" if item.get("iscrowd") else str(names[category]["name"]) if names else "particle"
            geometry = _geometry(item.get("segmentation"))
            regions[image].append(Region(f"annotation {number}: ", is_ignored(name, classes), geometry))
    for key, one in images.items():
        with problems.at(f"image {key}: "):
            size = (int(one["height"]), int(one["width"])) if one.get("height") and one.get("width") else None
            yield DrawnImage(str(one["file_name"]), regions[key], size)


def _by_id(entries: Sequence[Mapping[str, Any]], what: str, problems: Problems) -> dict[str, Mapping[str, Any]]:
    """Entries by their id; programs write ids as numbers or as text."""
    found: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        key = str(entry["id"])
        if key in found:
            problems.found.append(f"two entries have the {what} id {key}")
        found[key] = entry
    return found


def _geometry(segmentation: Any) -> Geometry:
    """Polygons or run lengths from a segmentation."""
    if isinstance(segmentation, dict):
        height, width = (int(n) for n in segmentation["size"])
        return RunLengths((height, width), segmentation["counts"])
    if not segmentation:
        raise ValueError("has no segmentation; expected polygons or run lengths")
    parts = segmentation if isinstance(segmentation[0], list) else [segmentation]  # VIA writes one polygon as one list
    # In COCO coordinates the corner of the first pixel is 0, here its centre is.
    return Polygons([np.asarray(part, float).reshape(-1, 2)[:, ::-1] - 0.5 for part in parts])
