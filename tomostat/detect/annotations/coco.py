"""Annotation files in COCO's format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tomostat.detect.annotations.regions import (
    DrawnImage,
    Geometry,
    Polygons,
    Region,
    RunLengths,
    is_ignored,
    located_at,
)


def read_coco(path: Path, content: Mapping[str, Any], classes: Sequence[str] | None) -> Iterator[DrawnImage]:
    """Images and regions of a COCO file.

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
    if "images" not in content:
        raise ValueError(f"{path} has annotations but no images; expected COCO json")
    with located_at(str(path)):
        names = {category["id"]: category["name"] for category in content.get("categories", [])}
        images = {image["id"]: image["file_name"] for image in content["images"]}
    regions: dict[Any, list[Region]] = {key: [] for key in images}
    for item in content["annotations"]:
        where = f"{path}, annotation {item.get('id')}"
        if item.get("image_id") not in images:
            raise ValueError(f"{where}: image_id is {item.get('image_id')!r}, which the file does not list")
        if names and item.get("category_id") not in names:
            raise ValueError(f"{where}: category_id is {item.get('category_id')!r}; expected one of {sorted(names)}")
        name = "ignore" if item.get("iscrowd") else names.get(item.get("category_id"), "particle")
        with located_at(where):
            geometry = _geometry(item.get("segmentation"))
        regions[item["image_id"]].append(Region(where, is_ignored(where, name, classes), geometry))
    for key, image in images.items():
        yield DrawnImage(image, regions[key])


def _geometry(segmentation: Any) -> Geometry:
    """Polygons or run lengths from a segmentation."""
    if isinstance(segmentation, dict):
        height, width = (int(n) for n in segmentation["size"])
        return RunLengths((height, width), segmentation["counts"])
    if not segmentation:
        raise ValueError("has no segmentation; expected polygons or run lengths")
    # In COCO coordinates the corner of the first pixel is 0, here its centre is.
    return Polygons([np.asarray(part, float).reshape(-1, 2)[:, ::-1] - 0.5 for part in segmentation])
