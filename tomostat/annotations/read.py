"""Annotated images from files of any supported format.

The network is not trained on pixels with the label `IGNORED`: regions of the class ``ignore``, an optional border zone,
and everything without an annotation where only some particles are annotated.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.annotations.coco import read_coco
from tomostat.annotations.regions import DrawnImage, Problems
from tomostat.annotations.via import read_via
from tomostat.detect.crops import IGNORED, LabelledSlice
from tomostat.detect.kernels.grey import scale_grey
from tomostat.files import is_inside
from tomostat.ingest import NUMBER_THEM, as_labels, open_source
from tomostat.volume import is_tomostat_volume, read_flat

CRACK = 3
"""Half the width in pixels of gaps between pieces that may be one particle."""
INSTANCES = "_instances"
"""Ending of the name of a label image: ``a_instances.tif`` belongs to ``a.tif``."""


@dataclass(frozen=True, eq=False)
class AnnotatedSlice:
    """One annotated image, or slice of a volume.

    Attributes
    ----------
    name
        File name, or volume and slice.
    grey
        (ny, nx) float32, percentiles 0.5 and 99.5 at 0 and 1; (slices, ny, nx) with neighbouring slices.
    labels
        (ny, nx) int32, particles 1 .. n, 0 for background and `IGNORED`.
    """

    name: str
    grey: NDArray[np.float32]
    labels: NDArray[np.int32]


@dataclass(frozen=True)
class _Ignore:
    """What is ignored besides drawn regions: a border of so many pixels, everything that is not annotated."""

    border: int = 0
    partial: bool = False


def read_annotations(
    path: str | Path,
    *,
    images: str | Path | None = None,
    classes: Sequence[str] | None = None,
    border: int = 0,
    partial: bool = False,
    neighbours: int = 0,
) -> list[AnnotatedSlice]:
    """Read annotated images.

    Parameters
    ----------
    path
        COCO json, VIA 1 or 2 json, a label image ``NAME_instances.tif`` beside ``NAME.tif``, a folder of these, or an
        OME-Zarr store with the label image ``particles`` (see `read_labelled_volume`).
    images
        Folder of the images; that of `path` when not given.
    classes
        Names of what is a particle; all names when not given. "ignore" is always known.
    border
        Width in pixels of a border zone that is ignored.
    partial
        Only some particles are annotated: pixels without an annotation are ignored.
    neighbours
        Neighbouring slices on either side that are read as well; for volumes only.

    Raises
    ------
    FileNotFoundError
        When the file or an image is missing.
    ValueError
        When the file is empty or of no known format, a polygon crosses itself or leaves its image, a class is unknown,
        or a label image is a mask; the message names file and region.
    """
    path, ignore = Path(path), _Ignore(border, partial)
    if path.suffix.lower() == ".zarr":
        return read_labelled_volume(path, border=border, partial=partial, neighbours=neighbours)
    folder = Path(images) if images is not None else (path if path.is_dir() else path.parent)
    if path.is_dir():
        files = sorted(one for one in path.iterdir() if one.stem.endswith(INSTANCES) or one.suffix.lower() == ".json")
        if not files:
            raise ValueError(f"{path} holds no label image named NAME{INSTANCES}.tif, and no json of VIA or COCO")
        return [one for file in files for one in _read_file(file, folder, classes, ignore)]
    if not path.is_file():
        raise FileNotFoundError(f"no annotations at {path}")
    return _read_file(path, folder, classes, ignore)


def _read_file(path: Path, folder: Path, classes: Sequence[str] | None, ignore: _Ignore) -> list[AnnotatedSlice]:
    """Annotated images of one file, which are in a folder."""
    if path.suffix.lower() != ".json":
        return [_from_labels(path, folder, ignore)]
    content, problems = _read_json(path), Problems(str(path))
    read = read_coco if "annotations" in content else read_via
    annotated, names = [], set()
    for drawn in read(content, classes, problems):
        if drawn.name in names:
            problems.found.append(f"two entries are of the image {drawn.name}")
        names.add(drawn.name)
        annotated += _from_regions(path, folder, drawn, ignore, problems)
    problems.refuse()
    if not annotated:
        raise ValueError(f"{path} lists no image")
    return annotated


def read_labelled_volume(
    path: str | Path,
    *,
    label: str = "particles",
    slices: Sequence[int] | None = None,
    border: int = 0,
    partial: bool = False,
    neighbours: int = 0,
) -> list[AnnotatedSlice]:
    """Read slices of a volume whose particles are known (corrected by hand, or simulated).

    Parameters
    ----------
    path
        OME-Zarr store.
    label
        Name of its label image.
    slices
        Slice indices; those that contain a particle when not given.
    border, partial, neighbours
        As in `read_annotations`; beyond the first and last slice these are repeated.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such volume, label image or slice, or no particle.
    """
    path = Path(path)
    known = open_source(f"{path}:{label}")
    depth, ny, nx = known.shape
    own, grey_source = is_tomostat_volume(path), open_source(path)
    wanted = list(range(depth) if slices is None else slices)
    if not all(0 <= z < depth for z in wanted):
        raise ValueError(f"slices is {wanted}; {path} has slices 0 to {depth - 1}")
    annotated = []
    for z in wanted:
        labels = as_labels(f"{path}:{label}", known.read((slice(z, z + 1), slice(0, ny), slice(0, nx))))[0]
        if slices is None and not labels.any():
            continue
        box = (slice(max(z - neighbours, 0), min(z + neighbours + 1, depth)), slice(0, ny), slice(0, nx))
        missing = (max(neighbours - z, 0), max(z + neighbours + 1 - depth, 0))
        grey = np.pad(read_flat(path, box) if own else grey_source.read(box), (missing, (0, 0), (0, 0)), mode="edge")
        grey = grey if neighbours else grey[0]
        annotated.append(_annotated(f"{path}:{z}", grey, labels, np.zeros((ny, nx), bool), _Ignore(border, partial)))
    if not annotated:
        raise ValueError(f"{path}: no slice of labels/{label} contains a particle")
    return annotated


def as_slices(annotated: Sequence[AnnotatedSlice]) -> list[LabelledSlice]:
    """Grey and labels, as `fine_tuning.fine_tune` takes them."""
    return [(item.grey, item.labels) for item in annotated]


def _annotated(
    name: str, grey: NDArray[Any], labels: NDArray[Any], ignored: NDArray[np.bool_], ignore: _Ignore
) -> AnnotatedSlice:
    """Number particles from 1, scale the grey values, mark what is ignored."""
    inner = np.zeros_like(ignored)
    inner[ignore.border : len(inner) - ignore.border, ignore.border : inner.shape[1] - ignore.border] = True
    _, dense = np.unique(np.append(labels.ravel(), 0), return_inverse=True)
    numbered = dense[:-1].reshape(labels.shape).astype(np.int32)
    numbered[ignored | ~inner | (ignore.partial & (numbered == 0))] = IGNORED
    return AnnotatedSlice(name, scale_grey(grey.astype(np.float32)), numbered)


def _in_pieces(mask: NDArray[np.bool_]) -> bool:
    """Whether a mask falls into several pieces that are farther apart than those of a cracked particle."""
    closed = ndimage.binary_dilation(mask, iterations=CRACK)
    return bool(ndimage.label(closed)[1] > 1)


def _from_labels(path: Path, folder: Path, ignore: _Ignore) -> AnnotatedSlice:
    """A label image and the image it belongs to."""
    if not path.stem.endswith(INSTANCES):
        raise ValueError(
            f"{path} is neither json nor a label image named NAME{INSTANCES}{path.suffix} "
            "(of VIA, export the annotations as json)"
        )
    image = folder / (path.stem[: -len(INSTANCES)] + path.suffix)
    grey, labels = _read_image(image, path), as_labels(str(path), _read_image(path, path))
    if grey.shape != labels.shape:
        raise ValueError(f"{path} has {labels.shape} pixels; expected {grey.shape} as {image.name}")
    if len(np.unique(labels[labels != 0])) == 1 and _in_pieces(labels != 0):
        raise ValueError(f"{path} holds a single label in several places: a mask, not particles; {NUMBER_THEM}")
    return _annotated(image.name, grey, labels, np.zeros(labels.shape, bool), ignore)


def _from_regions(
    owner: Path, folder: Path, drawn: DrawnImage, ignore: _Ignore, problems: Problems
) -> list[AnnotatedSlice]:
    """Paint the regions of one image, large ones first, so that small ones on top of them remain."""
    image = _image_path(owner, folder, drawn.name)
    grey = _read_image(image, owner)
    size = (grey.shape[0], grey.shape[1])
    if drawn.size not in (None, size):
        problems.found.append(f"{drawn.name} has {size} pixels, the outlines are for {drawn.size}; draw them on it")
        return []
    painted = []
    for region in drawn.regions:
        with problems.at(region.where):
            painted.append((region.ignored, region.pixels(size)))
    labels, ignored = np.zeros(size, np.int32), np.zeros(size, bool)
    for number, (left_out, pixels) in enumerate(sorted(painted, key=lambda item: -len(item[1][0])), start=1):
        if left_out:
            ignored[pixels] = True
        else:
            labels[pixels] = number
    return [_annotated(image.name, grey, labels, ignored & (labels == 0), ignore)]


def _image_path(owner: Path, folder: Path, name: str) -> Path:
    """The image that an annotation file names: where it says, if that is in the folder, else by its base name there."""
    name = name.replace("\\", "/")
    there, base = folder / name, folder / PurePosixPath(name).name
    for path in (there, base):
        if path.is_file() and is_inside(path, folder):
            return path
    if there.is_file():
        raise ValueError(f"{owner} names the image {name!r}, outside {folder}; name the folder of images (--images)")
    return there


def _read_image(path: Path, owner: Path) -> NDArray[Any]:
    """A single image."""
    if not path.is_file():
        raise FileNotFoundError(f"{owner}: image {path} is missing")
    image = open_source(path)
    if image.shape[0] != 1:
        raise ValueError(f"{owner}: image {path} has {image.shape[0]} slices; expected a single one")
    return image.read_all()[0]


FOREIGN = {
    "project": "a project of VIA 3; open it in VIA 2, or export it as COCO json",
    "shapes": "a LabelMe file; convert it to COCO json (labelme2coco)",
    "_via_settings": "a VIA project without images",
}
"""Annotation files of other programs, by a key that they hold, and what to do."""


def _read_json(path: Path) -> dict[str, Any]:
    """A json object that is not empty, in any encoding of Unicode."""
    try:
        content = json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not a json file: {error}") from None
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path} is empty or not an annotation file; expected COCO or VIA json")
    for key, what in FOREIGN.items():
        if key in content and not {"annotations", "_via_img_metadata"} & set(content):
            raise ValueError(f"{path} is {what}")
    return content
