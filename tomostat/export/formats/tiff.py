"""Labels, phases and maps of fields as TIFF stacks that ImageJ opens with voxel size and unit.

ImageJ takes the slices of a stack to follow each other without compression, and addresses 4 GiB. Larger images become
OME-TIFF, which Fiji opens through Bio-Formats.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from tomostat.export.format import Format, Plan, Results
from tomostat.export.slices import memory_of_slices, read_slices
from tomostat.volume import VolumeInfo, describe, label_names, map_names

IMAGEJ_LIMIT = 2**32 - 2**20
"""Bytes of voxels that fit into a file of ImageJ, besides its header."""

LARGEST_FLOAT = 2**24
"""Integers up to here are exact in float32."""


class TiffFormat(Format):
    """One file for each image of a field, ``FIELD-IMAGE.tif`` or ``.ome.tif``."""

    about = "labels, phases and maps as TIFF stacks, for Fiji/ImageJ, Avizo, Dragonfly"

    def plan(self, results: Results) -> Plan:
        """All images but the grey one."""
        stacks = [
            Stack(path, field, describe(path, label), dtype_for(results, field, label))
            for field in results.fields
            for path in [results.layout.volume(field)]
            for label in [*label_names(path), *map_names(path)]
        ]
        return Plan(
            {stack.file: partial(write_stack, stack) for stack in stacks},
            memory=max(memory_of_slices(stack.info) for stack in stacks),
            disk=sum(stack.bytes for stack in stacks if not stack.large),
        )


@dataclass(frozen=True)
class Stack:
    """One image of a field, and the voxel type it is written in."""

    path: Path
    field: str
    info: VolumeInfo
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        """Bytes of the voxels."""
        return math.prod(self.info.shape) * self.dtype.itemsize

    @property
    def large(self) -> bool:
        """Whether it is too large for ImageJ's own format."""
        return self.bytes > IMAGEJ_LIMIT

    @property
    def file(self) -> str:
        """Name of the file."""
        return f"{self.field}-{str(self.info.label).removeprefix('maps/')}{'.ome' * self.large}.tif"


def dtype_for(results: Results, field: str, label: str) -> np.dtype[Any]:
    """Voxel type for an image: ImageJ knows uint8, uint16 and float32, but no integers of 32 bits.

    Raises
    ------
    ValueError
        When labels are too large for all of them.
    """
    stored = describe(results.layout.volume(field), label).dtype
    if stored != np.uint32:
        return stored
    largest = int(results.particles_of(field)["label"].max(initial=0))
    if largest > LARGEST_FLOAT:
        raise ValueError(f"labels of field {field!r} go up to {largest}; TIFF stacks of ImageJ hold {LARGEST_FLOAT}")
    return np.dtype(np.uint16 if largest <= np.iinfo(np.uint16).max else np.float32)


def write_stack(stack: Stack, folder: Path) -> None:
    """Write one image, slice by slice."""
    z, y, x = stack.info.spacing
    how: dict[str, Any] = {"shape": stack.info.shape, "dtype": stack.dtype, "photometric": "minisblack"}
    if stack.large:
        sizes = {f"PhysicalSize{axis}": size for axis, size in zip("ZYX", (z, y, x), strict=True)}
        units = {f"PhysicalSize{axis}Unit": "µm" for axis in "ZYX"}
        how |= {"metadata": {"axes": "ZYX", **sizes, **units}, "compression": "zlib"}
    else:
        how |= {"metadata": {"axes": "ZYX", "spacing": z, "unit": "um"}, "resolution": (1 / x, 1 / y)}
    with tifffile.TiffWriter(folder / stack.file, imagej=not stack.large, ome=stack.large, bigtiff=stack.large) as file:
        file.write(_cast(stack), **how)


def _cast(stack: Stack) -> Iterator[NDArray[Any]]:
    """Slices in the voxel type of the file."""
    for image in read_slices(stack.path, stack.info.label):
        cast = image.astype(stack.dtype)
        if stack.info.dtype == np.uint32 and not np.array_equal(cast, image):
            raise ValueError(f"{stack.path} has labels beyond those of the particle table; run `tomostat measure`")
        yield cast


FORMAT = TiffFormat()
