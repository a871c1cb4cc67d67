"""Metadata of volumes, read and written without any voxel: OME-Zarr 0.5, and tomostat's own attributes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from tomostat.blocks import Shape
from tomostat.phase import PhaseFit

Spacing = tuple[float, float, float]
"""Voxel size (z, y, x) in micrometers."""

RENDERED = "rendered"
"""Attribute of a volume whose grey values are an image of its phases, see `VolumeInfo.rendered`."""


@dataclass(frozen=True)
class Calibration:
    """Refractive index decrement of a grey value: ``delta = grey * scale + offset``, without unit."""

    scale: float
    offset: float


@dataclass(frozen=True)
class VolumeInfo:
    """Metadata of an image in a volume.

    Attributes
    ----------
    path, label
        The store, and the name of the label image in it (None for the grey image).
    shape, dtype, spacing
        Voxels, voxel type, and voxel size (z, y, x) in micrometers.
    chunks, shards
        Voxels (z, y, x) of a chunk, which is read at once, and of a shard, which is written at once.
    levels
        Shapes of all resolution levels.
    attributes
        Metadata beyond OME-Zarr, such as the source and the density scale.
    """

    path: Path
    label: str | None
    shape: Shape
    dtype: np.dtype[Any]
    spacing: Spacing
    chunks: Shape
    shards: Shape
    levels: tuple[Shape, ...]
    attributes: Mapping[str, Any]

    @property
    def calibration(self) -> Calibration | None:
        """Conversion of grey values to the refractive index decrement; None where it is not known."""
        if "density_scale" not in self.attributes:
            return None
        return Calibration(float(self.attributes["density_scale"]), float(self.attributes.get("density_offset", 0.0)))

    @property
    def rendered(self) -> bool:
        """Whether the grey values are an image of the phases, made for a field that has no others."""
        return RENDERED in self.attributes

    def grey_in_file(self, grey: Any) -> Any:
        """Grey values of the file for those of the volume, a number or an array: ingest may turn and shift them."""
        shift, sign = self.attributes.get("grey_shift", 0), self.attributes.get("grey_scale", 1)
        return (grey - shift) * sign

    def grey_of_file(self, grey: Any) -> Any:
        """Grey values of the volume for those of the file, the reverse of `grey_in_file`."""
        shift, sign = self.attributes.get("grey_shift", 0), self.attributes.get("grey_scale", 1)
        return grey * sign + shift

    @property
    def grey_range(self) -> tuple[float, float] | None:
        """Smallest and largest grey value as ingest found them; None for a volume that ingest did not write."""
        found = self.attributes.get("range")
        return None if found is None else (float(found[0]), float(found[1]))

    @property
    def blank_slices(self) -> tuple[int, ...]:
        """Slices of one grey value only, as ingest found them; none in a volume that ingest did not write."""
        return tuple(self.attributes.get("blank_slices", ()))


def check_spacing(spacing: Sequence[float]) -> Spacing:
    """Spacing as three floats.

    Raises
    ------
    ValueError
        When it is not three positive finite numbers.
    """
    values = tuple(float(value) for value in spacing)
    if len(values) != 3 or not all(0 < value < np.inf for value in values):
        raise ValueError(f"spacing is {spacing!r}; expected three positive numbers z y x in micrometers")
    return values


def image_prefix(label: str | None) -> str:
    """Path of an image inside its store: empty for the grey image, else ``labels/NAME/`` or ``maps/NAME/``."""
    if label is None:
        return ""
    return f"{label}/" if is_map(label) else f"labels/{label}/"


def image_paths(path: str | Path, label: str | None = None) -> list[Path]:
    """Files and folders of an image in a store, without those of other images but for lists of them."""
    folder = Path(path) / image_prefix(label)
    if label is None:
        return [folder / "zarr.json", *sorted(folder.glob("[0-9]*"))]
    return [folder, folder.parent / "zarr.json"]


def is_map(label: str | None) -> bool:
    """Whether an image is a map: float32 values in some voxels, NaN in all others, named ``maps/NAME``."""
    return label is not None and label.startswith("maps/")


def open_array(path: str | Path, name: str, mode: Any = "r") -> zarr.Array[Any]:
    """Open an array by its path inside the store, such as ``labels/phases/0``.

    Raises
    ------
    ValueError
        When there is a group of that name.
    """
    found = zarr.open(str(path), path=name, mode=mode)
    if not isinstance(found, zarr.Array):
        raise ValueError(f"{path}/{name} is a group; expected an array")
    return found


def open_group(path: str | Path, label: str | None, mode: Any = "r") -> zarr.Group:
    """Open the multiscale group of an image.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such volume or image, or it is no OME-Zarr 0.5.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"no volume at {path}")
    name = image_prefix(label).rstrip("/")
    try:
        group = zarr.open_group(str(path), path=name, mode=mode)
    except (FileNotFoundError, KeyError, ValueError) as error:
        what = "an OME-Zarr volume" if label is None else f"a volume with labels {label!r}"
        raise ValueError(f"{path} is not {what}: {error or type(error).__name__}") from None
    if "ome" not in group.attrs:
        raise ValueError(f"{path}/{name} has no OME-Zarr 0.5 metadata; convert it with `tomostat ingest`")
    return group


def ome_metadata(shapes: Sequence[Shape], spacing: Spacing, label: str | None) -> dict[str, Any]:
    """OME-Zarr 0.5 metadata of a multiscale group.

    Parameters
    ----------
    shapes
        Voxels (z, y, x) of every resolution level.
    spacing
        Voxel size (z, y, x) in micrometers of the first level.
    label
        Name of a label image or map; None for the grey image.
    """
    datasets = []
    factors = [1, 1, 1]
    for level in range(len(shapes)):
        if level > 0:  # an axis of one voxel is not halved any more
            factors = [f * 2 if n > 1 else f for f, n in zip(factors, shapes[level - 1], strict=True)]
        scale = [s * f for s, f in zip(spacing, factors, strict=True)]
        shift = [s * (f - 1) / 2 for s, f in zip(spacing, factors, strict=True)]
        transforms = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]
        datasets.append({"path": str(level), "coordinateTransformations": transforms})
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    labelled = label is not None and not is_map(label)
    kind = "nearest" if labelled else "mean"
    multiscale = {"name": (label or "grey").removeprefix("maps/"), "axes": axes, "datasets": datasets, "type": kind}
    metadata: dict[str, Any] = {"version": "0.5", "multiscales": [multiscale]}
    if labelled:
        metadata["image-label"] = {"source": {"image": "../../"}}
    return metadata


def describe(path: str | Path, label: str | None = None) -> VolumeInfo:
    """Read the metadata of an image in a volume.

    Parameters
    ----------
    path
        The store, ``NAME.zarr``.
    label
        Name of a label image, or of a map as ``maps/NAME``; the grey image when not given.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such volume or label image.
    """
    group = open_group(path, label)
    ome: Any = group.attrs["ome"]
    names = [dataset["path"] for dataset in ome["multiscales"][0]["datasets"]]
    arrays = [open_array(path, image_prefix(label) + name) for name in names]
    first = arrays[0]
    transforms = ome["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    attributes: Any = group.attrs.get("tomostat", {})
    return VolumeInfo(
        path=Path(path),
        label=label,
        shape=first.shape,  # type: ignore[arg-type]
        dtype=first.dtype,
        spacing=check_spacing(transforms[0]["scale"]),
        chunks=first.chunks,  # type: ignore[arg-type]
        shards=first.shards or first.chunks,  # type: ignore[arg-type]
        levels=tuple(array.shape for array in arrays),  # type: ignore[misc]
        attributes=dict(attributes),
    )


def is_volume(path: str | Path) -> bool:
    """Whether there is a zarr group at a path, which `create_volume` may replace."""
    return (Path(path) / "zarr.json").is_file()


def is_tomostat_volume(path: str | Path) -> bool:
    """Whether there is a volume that tomostat wrote: other OME-Zarr images are read as any foreign file."""
    if not is_volume(path):
        return False
    with contextlib.suppress(ValueError, KeyError, OSError):
        return {"ome", "tomostat"} <= set(zarr.open_group(str(path), mode="r").attrs)
    return False


def label_names(path: str | Path) -> list[str]:
    """Names of the label images in a store."""
    group = open_group(path, None)
    return sorted(name for name, _ in group["labels"].groups()) if "labels" in group else []  # type: ignore[union-attr]


def map_names(path: str | Path) -> list[str]:
    """Names of the maps in a store, as ``maps/NAME``."""
    return sorted(f"maps/{found.name}" for found in Path(path).glob("maps/*") if is_volume(found))


def update_attributes(path: str | Path, values: Mapping[str, Any], label: str | None = None) -> None:
    """Add metadata to an image, or replace them; `values` are JSON-able."""
    group = open_group(path, label, "r+")
    existing: Any = group.attrs.get("tomostat", {})
    group.attrs["tomostat"] = {**existing, **values}


def read_fit(path: str | Path) -> PhaseFit:
    """Read the fit that the phases stage stored with a volume.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such volume, it has no phases, or the record of the fit is damaged.
    """
    return PhaseFit.parse(describe(path, "phases").attributes, str(path))
