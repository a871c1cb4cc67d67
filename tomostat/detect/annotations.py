"""Annotations made elsewhere as training slices: COCO, VIA 1 and 2, label images, labelled volumes.

Pixels of regions marked ``ignore``, of an optional border zone, and of everything that is not annotated where only some
particles are, get the label `IGNORED`: the network learns nothing from them, neither particle nor background.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from skimage.draw import ellipse as draw_ellipse
from skimage.draw import polygon as draw_polygon
from skimage.io import imread

from tomostat.detect.crops import IGNORED
from tomostat.detect.scenes import scale_grey
from tomostat.volume import describe, read_box, read_flat

OUTSIDE = 3.0
"""Pixels by which a polygon may reach over the image's edge."""

LOOPS = 0.1
"""Share of a polygon's area that may be lost to a loop; slips of the hand while closing a polygon are smaller."""

INSTANCES = "_instances"
"""Ending of the name of a label image: ``a_instances.tif`` belongs to ``a.tif``."""


@dataclass(frozen=True, eq=False)
class Annotated:
    """One annotated image.

    Attributes
    ----------
    name
        File name, or volume and slice.
    grey
        (ny, nx) float32, robust percentiles at 0 and 1; (slices, ny, nx) with its neighbours.
    labels
        (ny, nx) int32, particles 1 .. n, 0 for background and `IGNORED`.
    """

    name: str
    grey: NDArray[np.float32]
    labels: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class _Region:
    """One drawn region: what it is called, where it stands, its pixels."""

    where: str
    kind: str
    pixels: tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class _Zones:
    """What is ignored beside regions of that name: a border of so many pixels, all that is not annotated."""

    border: int = 0
    partial: bool = False


def read_annotations(
    path: str | Path,
    *,
    images: str | Path | None = None,
    classes: Sequence[str] | None = None,
    border: int = 0,
    partial: bool = False,
    around: int = 0,
) -> list[Annotated]:
    """Read annotated images.

    Parameters
    ----------
    path
        COCO json, VIA 1 or 2 json, a label image ``NAME_instances.tif`` beside ``NAME.tif``, a folder of those, or an
        OME-Zarr store with the label image ``particles`` (see `read_labelled_volume`).
    images
        Folder of the images; that of `path` when not given.
    classes
        Names of what is a particle, all when not given. "ignore" is always known.
    border
        Width in pixels of a border zone that is ignored.
    partial
        Only some particles are annotated: what is not annotated is ignored.
    around
        Neighbouring slices on either side that come along, from volumes only.

    Raises
    ------
    FileNotFoundError
        When the file or an image is missing.
    ValueError
        When the file is empty or of no known kind, a polygon crosses itself or leaves its image, or a class is
        unknown; the message names file and region.
    """
    path, zones = Path(path), _Zones(border, partial)
    if path.suffix.lower() == ".zarr":
        return read_labelled_volume(path, border=border, partial=partial, around=around)
    folder = Path(images) if images is not None else (path if path.is_dir() else path.parent)
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.stem.endswith(INSTANCES))
        if not files:
            raise ValueError(f"{path} holds no label image named NAME{INSTANCES}.tif")
        return [_from_labels(file, folder, zones) for file in files]
    if not path.is_file():
        raise FileNotFoundError(f"no annotations at {path}")
    if path.suffix.lower() != ".json":
        return [_from_labels(path, folder, zones)]
    found = _read_json(path)
    regions = _coco(path, found, classes) if "annotations" in found else _via(path, found, classes)
    drawn = [_draw(path, folder / name, list(of_image), zones) for name, of_image in regions]
    if not drawn:
        raise ValueError(f"{path} lists no image")
    return drawn


def read_labelled_volume(
    path: str | Path,
    *,
    label: str = "particles",
    slices: Sequence[int] | None = None,
    border: int = 0,
    partial: bool = False,
    around: int = 0,
) -> list[Annotated]:
    """Read slices of a volume whose particles are known (corrected by hand, or simulated).

    Parameters
    ----------
    path
        OME-Zarr store.
    label
        Name of its label image.
    slices
        Slice indices; those that hold a particle when not given.
    border, partial, around
        As in `read_annotations`.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such volume, label image or slice, or no particle.
    """
    depth, ny, nx = describe(path, label).shape
    wanted = list(range(depth) if slices is None else slices)
    if not all(0 <= z < depth for z in wanted):
        raise ValueError(f"slices is {wanted}; {path} has slices 0 to {depth - 1}")
    annotated = []
    for z in wanted:
        labels = read_box(path, (slice(z, z + 1), slice(0, ny), slice(0, nx)), label)[0]
        if slices is None and not labels.any():
            continue
        near = (slice(max(z - around, 0), min(z + around + 1, depth)), slice(0, ny), slice(0, nx))
        missing = (max(around - z, 0), max(z + around + 1 - depth, 0))
        grey = np.pad(read_flat(path, near), (missing, (0, 0), (0, 0)), mode="edge")
        none = np.zeros((ny, nx), bool)
        annotated.append(_annotated(f"{path}:{z}", grey if around else grey[0], labels, none, _Zones(border, partial)))
    if not annotated:
        raise ValueError(f"{path}: no slice of labels/{label} holds a particle")
    return annotated


def as_slices(annotated: Sequence[Annotated]) -> list[tuple[NDArray[np.float32], NDArray[np.int32]]]:
    """Grey and labels, as `tune.fine_tune` takes them."""
    return [(item.grey, item.labels) for item in annotated]


def _annotated(
    name: str, grey: NDArray[Any], labels: NDArray[Any], ignored: NDArray[np.bool_], zones: _Zones
) -> Annotated:
    """Number particles from 1, scale the grey values, mark what is ignored."""
    inner = np.zeros_like(ignored)
    inner[zones.border : len(inner) - zones.border, zones.border : inner.shape[1] - zones.border] = True
    _, dense = np.unique(np.append(labels.ravel(), 0), return_inverse=True)
    numbered = dense[:-1].reshape(labels.shape).astype(np.int32)
    numbered[ignored | ~inner | (zones.partial & (numbered == 0))] = IGNORED
    return Annotated(name, scale_grey(grey.astype(np.float32)), numbered)


def _from_labels(path: Path, folder: Path, zones: _Zones) -> Annotated:
    """A label image and the image it belongs to."""
    if not path.stem.endswith(INSTANCES):
        raise ValueError(f"{path} is neither json nor a label image named NAME{INSTANCES}{path.suffix}")
    image = folder / (path.stem[: -len(INSTANCES)] + path.suffix)
    grey, labels = _read_image(image, path), _read_image(path, path)
    if labels.dtype.kind not in "iu" or grey.shape != labels.shape:
        raise ValueError(
            f"{path} has {labels.dtype} pixels {labels.shape}; expected integers and {grey.shape} as {image.name}"
        )
    return _annotated(image.name, grey, labels, np.zeros(labels.shape, bool), zones)


def _read_image(path: Path, owner: Path) -> NDArray[Any]:
    """A grey image; RGB is averaged."""
    if not path.is_file():
        raise FileNotFoundError(f"{owner}: image {path} is missing")
    try:
        image = tifffile.imread(path) if path.suffix.lower() in (".tif", ".tiff") else imread(path)
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise ValueError(f"{owner}: image {path} cannot be read: {error}") from None
    if image.ndim == 3 and image.shape[-1] in (3, 4):
        image = image[..., :3].mean(-1)
    if image.ndim != 2:
        raise ValueError(f"{owner}: image {path} is of shape {image.shape}; expected a single slice")
    return np.asarray(image)


def _read_json(path: Path) -> dict[str, Any]:
    """A json object that is not empty."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no json file: {error}") from None
    if not isinstance(found, dict) or not found:
        raise ValueError(f"{path} is empty or no annotation file; expected COCO or VIA json")
    return found


def _draw(owner: Path, image: Path, shapes: list[tuple[str, str, Mapping[str, Any]]], zones: _Zones) -> Annotated:
    """Paint the regions of one image, large ones first, so that small ones on top of them stay."""
    grey = _read_image(image, owner)
    shape = (grey.shape[0], grey.shape[1])
    regions = [_Region(where, kind, _pixels(where, geometry, shape)) for where, kind, geometry in shapes]
    labels, ignore = np.zeros(shape, np.int32), np.zeros(shape, bool)
    for number, region in enumerate(sorted(regions, key=lambda r: -len(r.pixels[0])), start=1):
        if region.kind == "ignore":
            ignore[region.pixels] = True
        else:
            labels[region.pixels] = number
    return _annotated(image.name, grey, labels, ignore & (labels == 0), zones)


def _kind(where: str, name: str, classes: Sequence[str] | None) -> str:
    """What a class name means: particle or ignore.

    Raises
    ------
    ValueError
        When the class is not among `classes`.
    """
    if name.lower() == "ignore":
        return "ignore"
    if classes is not None and name not in classes:
        raise ValueError(f"{where}: class is {name!r}; expected one of {', '.join(classes)} or ignore")
    return "particle"


_Shapes = Iterator[tuple[str, list[tuple[str, str, Mapping[str, Any]]]]]


def _via(path: Path, found: dict[str, Any], classes: Sequence[str] | None) -> _Shapes:
    """Images and regions of a VIA 1 or 2 file."""
    entries = found.get("_via_img_metadata", found)
    if not all(isinstance(entry, dict) and {"filename", "regions"} <= set(entry) for entry in entries.values()):
        raise ValueError(f"{path} is neither COCO nor VIA json")
    for entry in entries.values():
        regions = entry["regions"].values() if isinstance(entry["regions"], dict) else entry["regions"]
        shapes = []
        for number, region in enumerate(regions):
            where = f"{path}, {entry['filename']}, region {number}"
            values = [str(value) for value in region.get("region_attributes", {}).values()]
            name = next((v for v in values if v.lower() == "ignore"), values[0] if values else "")
            with _told(where):
                geometry = _via_geometry(where, region.get("shape_attributes", {}))
            shapes.append((where, _kind(where, name, classes), geometry))
        yield entry["filename"], shapes


def _via_geometry(where: str, shape: Mapping[str, Any]) -> Mapping[str, Any]:
    """A VIA shape as polygons or an ellipse."""
    name = shape.get("name")
    if name in ("polygon", "polyline"):
        return {"polygons": [np.stack([shape["all_points_y"], shape["all_points_x"]], 1).astype(float)]}
    if name == "rect":
        y, x, h, w = (float(shape[key]) for key in ("y", "x", "height", "width"))
        return {"polygons": [np.array([[y, x], [y, x + w], [y + h, x + w], [y + h, x]])]}
    if name in ("circle", "ellipse"):
        radii = [shape["r"]] * 2 if name == "circle" else [shape["ry"], shape["rx"]]
        return {"ellipse": (shape["cy"], shape["cx"], *radii, -float(shape.get("theta", 0)))}
    raise ValueError(f"{where}: shape is {name!r}; expected polygon, polyline, rect, circle or ellipse")


def _coco(path: Path, found: dict[str, Any], classes: Sequence[str] | None) -> _Shapes:
    """Images and regions of a COCO file."""
    if "images" not in found:
        raise ValueError(f"{path} has annotations but no images; expected COCO json")
    with _told(str(path)):
        names = {category["id"]: category["name"] for category in found.get("categories", [])}
        images = {image["id"]: image["file_name"] for image in found["images"]}
    shapes: dict[Any, list[tuple[str, str, Mapping[str, Any]]]] = {key: [] for key in images}
    for item in found["annotations"]:
        where = f"{path}, annotation {item.get('id')}"
        if item.get("image_id") not in images:
            raise ValueError(f"{where}: image_id is {item.get('image_id')!r}, which the file does not list")
        if names and item.get("category_id") not in names:
            raise ValueError(f"{where}: category_id is {item.get('category_id')!r}; expected one of {sorted(names)}")
        name = "ignore" if item.get("iscrowd") else names.get(item.get("category_id"), "particle")
        with _told(where):
            geometry = _coco_geometry(where, item.get("segmentation"))
        shapes[item["image_id"]].append((where, _kind(where, name, classes), geometry))
    for key, image in images.items():
        yield image, shapes[key]


def _coco_geometry(where: str, segments: Any) -> Mapping[str, Any]:
    """A COCO segmentation as polygons or run lengths."""
    if isinstance(segments, dict):
        return {"rle": segments}
    if not segments:
        raise ValueError(f"{where}: has no segmentation; expected polygons or run lengths")
    # COCO counts from the corner of the first pixel, we from its centre
    return {"polygons": [np.asarray(part, float).reshape(-1, 2)[:, ::-1] - 0.5 for part in segments]}


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Name file and region in what a malformed entry raises."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{where}: lacks {error}") from None
    except (TypeError, ValueError) as error:
        raise ValueError(str(error) if str(error).startswith(where) else f"{where}: {error}") from None


def _pixels(
    where: str, geometry: Mapping[str, Any], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels of a region."""
    if "rle" in geometry:
        with _told(where):
            mask = decode_rle(geometry["rle"], where)
        if mask.shape != shape:
            raise ValueError(f"{where}: run lengths are for {mask.shape} pixels; the image has {shape}")
        rows, columns = np.nonzero(mask)
    elif "ellipse" in geometry:
        y, x, ry, rx, turn = geometry["ellipse"]
        rows, columns = draw_ellipse(y, x, ry, rx, shape=shape, rotation=turn)
    else:
        parts = [_polygon(where, polygon, shape) for polygon in geometry["polygons"]]
        rows, columns = (np.concatenate(axis) for axis in zip(*parts, strict=True))
    if not len(rows):
        raise ValueError(f"{where}: covers no pixel of its image of {shape} pixels")
    return rows, columns


def _polygon(
    where: str, points: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels whose centres a polygon holds."""
    if len(points) < 3:
        raise ValueError(f"{where}: polygon has {len(points)} points; expected three or more")
    if points.min() < -OUTSIDE - 0.5 or (points.max(0) > np.array(shape) - 0.5 + OUTSIDE).any():
        low, high = points.min(0).tolist(), points.max(0).tolist()
        raise ValueError(f"{where}: polygon from {low} to {high} (y, x) lies outside its image of {shape} pixels")
    rows, columns = draw_polygon(points[:, 0], points[:, 1], shape)
    crossing = find_crossing(points)
    if crossing and _loop_share(points) > LOOPS:
        raise ValueError(f"{where}: polygon crosses itself at its edges {crossing[0]} and {crossing[1]}; redraw it")
    return rows, columns


def _loop_share(points: NDArray[np.float64]) -> float:
    """How much of a polygon's area is lost to loops that run the other way round: 0 without any, 1 for an 8."""
    low = points.min(0)
    scale = 200 / max(float(np.ptp(points, axis=0).max()), 1e-9)
    y, x = ((points - low) * scale).T
    drawn = len(draw_polygon(y, x)[0])
    signed = 0.5 * abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))
    return max(1 - signed / max(drawn, 1), 0.0)


def find_crossing(points: NDArray[np.float64]) -> tuple[int, int] | None:
    """First pair of edges of a closed polygon that properly cross (touching is allowed), or None.

    Parameters
    ----------
    points
        (n, 2) corners; edge i runs from corner i to the next.
    """
    start, end = points, np.roll(points, -1, axis=0)

    def side(a: NDArray[Any], b: NDArray[Any], p: NDArray[Any]) -> NDArray[np.float64]:
        sides: NDArray[np.float64] = np.sign(
            (b[..., 0] - a[..., 0]) * (p[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (p[..., 0] - a[..., 0])
        )
        return sides

    a, b, c, d = start[:, None], end[:, None], start[None], end[None]
    proper = (side(a, b, c) * side(a, b, d) < 0) & (side(c, d, a) * side(c, d, b) < 0)
    first, second = np.nonzero(np.triu(proper))
    return (int(first[0]), int(second[0])) if len(first) else None


def decode_rle(code: Mapping[str, Any], where: str = "annotation") -> NDArray[np.bool_]:
    """Mask of a COCO run-length code, plain or compressed (base 48, six bits a character, column by column).

    Raises
    ------
    ValueError
        When the runs do not fill the image.
    """
    height, width = (int(n) for n in code["size"])
    counts = code["counts"]
    runs = np.asarray(_decompress(counts) if isinstance(counts, str | bytes) else counts, np.int64)
    if runs.sum() != height * width or (runs < 0).any():
        raise ValueError(f"{where}: run lengths add up to {runs.sum()}; expected {height} x {width} = {height * width}")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def _decompress(code: str | bytes) -> list[int]:
    """Run lengths of COCO's compressed code: differences to the run before last, variable length."""
    text = code.encode() if isinstance(code, str) else code
    runs: list[int] = []
    value = shift = 0
    for byte in text:
        bits = byte - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs
