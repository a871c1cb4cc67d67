"""Annotation files made for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SQUARE = [[10.0, 10.0], [10.0, 29.0], [29.0, 29.0], [29.0, 10.0]]
"""y, x of corner pixels."""


def write_via(
    folder: Path, regions: list[tuple[list[list[float]], str]], *, version: int = 2, name: str = "a.tif"
) -> Path:
    """Write a VIA file with polygons [(points, class)]."""
    shapes = [
        {"name": "polygon", "all_points_y": [p[0] for p in points], "all_points_x": [p[1] for p in points]}
        for points, _ in regions
    ]
    return write_via_shapes(folder, shapes, [kind for _, kind in regions], version=version, name=name)


def write_via_shapes(
    folder: Path, shapes: list[dict[str, Any]], kinds: list[str], *, version: int = 2, name: str = "a.tif"
) -> Path:
    """Write a VIA file with any shapes."""
    listed = [
        {"shape_attributes": shape, "region_attributes": {"kind": kind}}
        for shape, kind in zip(shapes, kinds, strict=True)
    ]
    entry: dict[str, Any] = {"filename": name, "size": 1, "regions": listed}
    content: dict[str, Any] = {"_via_img_metadata": {"k": entry}}
    if version == 1:
        content = {"k": entry | {"regions": {str(i): region for i, region in enumerate(listed)}}}
    path = folder / "via.json"
    path.write_text(json.dumps(content))
    return path


def write_coco(folder: Path, annotations: list[dict[str, Any]], **changes: Any) -> Path:
    """Write a COCO file of one image."""
    content = {
        "images": [{"id": 3, "file_name": "a.tif"}],
        "categories": [{"id": 1, "name": "particle"}],
        "annotations": [{"id": i, "image_id": 3, "category_id": 1, **a} for i, a in enumerate(annotations)],
    }
    path = folder / "coco.json"
    path.write_text(json.dumps(content | changes))
    return path
