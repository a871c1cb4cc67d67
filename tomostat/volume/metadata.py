"""What volumes tell without reading a voxel: OME-Zarr 0.5 metadata, and what tomostat notes beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from tomostat.blocks import Shape
from tomostat.phase import PhaseFit

Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class Calibration:
    """Refractive decrement of a grey value: ``delta = grey * scale + offset``."""

    scale: float
    offset: float


@dataclass(frozen=True)
class VolumeInfo:
    """What a volume's metadata tell, without reading a voxel.

    Attributes
    ----------
    path, label
        The store, and the name of the label image in it (None for the grey image).
    shape, dtype, spacing
        Voxels, voxel type, and voxel size (z, y, x) in micrometers.
    chunks, shards
        Storage and write units in voxels.
    levels
        Shapes of all resolution levels.
    attributes
        What tomostat noted with the image.
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
        """How grey values tell the refractive decrement; None where that is not known."""
        if "density_scale" not in self.attributes:
            return None
        return Calibration(float(self.attributes["density_scale"]), float(self.attributes.get("density_offset", 0.0)))

    @property
    def range(self) -> tuple[float, float] | None:
        """Smallest and largest grey value, as ingest found them; None where it did not look."""
        found = self.attributes.get("range")
        return None if found is None else (float(found[0]), float(found[1]))


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


def component(label: str | None) -> str:
    """Where an image lies in its store: empty for the grey image, else ``labels/NAME/`` or ``maps/NAME/``."""
    if label is None:
        return ""
    return f"{label}/" if is_map(label) else f"labels/{label}/"


def is_map(label: str | None) -> bool:
    """Whether an image is a map: float32 values in some voxels, NaN in all others, named ``maps/NAME``."""
    return label is not None and label.startswith("maps/")


def open_array(path: str | Path, name: str, mode: Any = "r") -> zarr.Array[Any]:
    """An array of a store by its name in it, such as ``labels/phases/0``."""
    found = zarr.open(str(path), path=name, mode=mode)
    if not isinstance(found, zarr.Array):
        raise ValueError(f"{path}/{name} is a group; expected an array")
    return found


def open_group(path: str | Path, label: str | None, mode: Any = "r") -> zarr.Group:
    """The multiscale group, or one clear error."""
    if not Path(path).exists():
        raise FileNotFoundError(f"no volume at {path}")
    name = component(label).rstrip("/")
    try:
        group = zarr.open_group(str(path), path=name, mode=mode)
    except (FileNotFoundError, KeyError, ValueError) as error:
        what = "an OME-Zarr volume" if label is None else f"a volume with labels {label!r}"
        raise ValueError(f"{path} is not {what}: {error or type(error).__name__}") from None
    if "ome" not in group.attrs:
        raise ValueError(f"{path}/{name} carries no OME-Zarr 0.5 metadata; bring it in with `tomostat ingest`")
    return group


def ome_metadata(shapes: Sequence[Shape], spacing: Spacing, label: str | None) -> dict[str, Any]:
    """The group's OME-Zarr 0.5 metadata."""
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
    named = label is not None and not is_map(label)
    kind = "nearest" if named else "mean"
    multiscale = {"name": (label or "grey").removeprefix("maps/"), "axes": axes, "datasets": datasets, "type": kind}
    metadata: dict[str, Any] = {"version": "0.5", "multiscales": [multiscale]}
    if named:
        metadata["image-label"] = {"source": {"image": "../../"}}
    return metadata


def describe(path: str | Path, label: str | None = None) -> VolumeInfo:
    """Read a volume's metadata.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such volume or label image.
    """
    group = open_group(path, label)
    ome: Any = group.attrs["ome"]
    names = [dataset["path"] for dataset in ome["multiscales"][0]["datasets"]]
    arrays = [open_array(path, component(label) + name) for name in names]
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
    """Whether a zarr group lies there: what `create_volume` may replace."""
    return (Path(path) / "zarr.json").is_file()


def label_names(path: str | Path) -> list[str]:
    """Names of the label images in a store."""
    group = open_group(path, None)
    return sorted(name for name, _ in group["labels"].groups()) if "labels" in group else []  # type: ignore[union-attr]


def map_names(path: str | Path) -> list[str]:
    """Names of the maps in a store, as ``maps/NAME``."""
    return sorted(f"maps/{found.name}" for found in Path(path).glob("maps/*") if is_volume(found))


def update_attributes(path: str | Path, values: Mapping[str, Any], label: str | None = None) -> None:
    """Add to what tomostat notes with an image."""
    group = open_group(path, label, "r+")
    known: Any = group.attrs.get("tomostat", {})
    group.attrs["tomostat"] = {**known, **values}


def read_fit(path: str | Path) -> PhaseFit:
    """What the phases stage found about a volume.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such volume, it has no phases, or what is noted with them is damaged.
    """
    return PhaseFit.parse(describe(path, "phases").attributes, str(path))
