"""Particles in every slice as COCO annotations beside the slices as pictures, for annotation tools and training.

``FIELD.json`` lists the pictures ``FIELD/SLICE.png`` and the particles in them as compressed run lengths, each with the
particle's label; `tomostat train` reads it. Format: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.io import imsave

from tomostat.export.format import Format, Plan, Results
from tomostat.export.slices import memory_of_slices, read_slices
from tomostat.instances import Instances
from tomostat.kernels.run_lengths import encode
from tomostat.volume import describe, read_fit

PARTICLE = {"id": 1, "name": "particle", "supercategory": ""}
"""The one category."""

DARK, BRIGHT = 26, 229
"""Grey values, of 0 to 255, of the percentiles 0.5 and 99.5 of the volume: what lies beyond them is kept apart."""


class CocoFormat(Format):
    """Annotations and pictures of every field."""

    about = "particles in every slice as COCO json beside PNG slices, for CVAT, pycocotools, training"

    def plan(self, results: Results) -> Plan:
        """One piece for each field."""
        paths = {field: results.layout.volume(field) for field in results.fields}
        need = max(memory_of_slices(describe(path, "particles")) for path in paths.values())
        return Plan({field: partial(write_coco, path, field) for field, path in paths.items()}, memory=need)


def write_coco(path: Path, field: str, folder: Path) -> None:
    """Write pictures and annotations of a field, slice by slice."""
    nz, ny, nx = describe(path).shape
    images = [{"id": z, "file_name": f"{field}/{z:05d}.png", "width": nx, "height": ny} for z in range(nz)]
    (folder / field).mkdir()
    low, high = read_fit(path).percentiles
    for image, grey in zip(images, read_slices(path), strict=True):
        shade = DARK + (grey.astype(np.float32) - low) * ((BRIGHT - DARK) / max(high - low, 1e-30))
        imsave(folder / str(image["file_name"]), np.clip(np.rint(shade), 0, 255).astype(np.uint8), check_contrast=False)
    head = {"info": {"description": f"particles of field {field}"}, "images": images, "categories": [PARTICLE]}
    with (folder / f"{field}.json").open("w", encoding="utf-8") as file:
        file.write(json.dumps(head)[:-1] + ', "annotations": [')
        for number, one in enumerate(annotated(path)):
            file.write(",\n" * bool(number) + json.dumps({"id": number + 1, **one}))
        file.write("]}\n")


def annotated(path: Path) -> Iterator[dict[str, Any]]:
    """The particles of every slice of a volume."""
    for z, labels in enumerate(read_slices(path, "particles")):
        yield from _of_slice(z, labels)


def _of_slice(z: int, labels: NDArray[np.uint32]) -> Iterator[dict[str, Any]]:
    """COCO's runs go down the columns: they are the runs of the transposed image."""
    down = labels.T
    found = Instances.from_labels(down, z)
    label = down.reshape(-1)[found.run_start[found.offset[:-1]]]
    for i, (x0, y0, x1, y1) in enumerate(found.box.tolist()):
        runs = slice(found.offset[i], found.offset[i + 1])
        counts = encode(found.run_start[runs], found.run_length[runs], labels.size)
        yield {
            "image_id": z,
            "category_id": PARTICLE["id"],
            "particle": int(label[i]),
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": int(found.area[i]),
            "segmentation": {"size": list(labels.shape), "counts": counts},
            "iscrowd": 0,
        }


FORMAT = CocoFormat()
