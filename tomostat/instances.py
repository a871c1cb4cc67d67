"""Instance tables: 2D detections with run-length masks, which `detect` writes and `stitch` reads.

An instance is one detection in one slice. Its mask is a set of runs of pixels: flat row-major positions ``y * nx + x``
in the slice; a run ends at the end of its pixel row. Masks of one slice are disjoint, and instances are ordered by
slice and first run, so that an id, ``slice << 32 | rank``, depends on neither tiles nor blocks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from tomostat import __version__
from tomostat.files import atomic

METADATA = "tomostat"
"""Key of tomostat's entry in the metadata of a Parquet file."""

SCHEMA = pa.schema(
    [
        ("id", pa.uint64()),
        ("slice", pa.int32()),
        ("score", pa.float32()),
        ("y0", pa.int32()),
        ("x0", pa.int32()),
        ("y1", pa.int32()),
        ("x1", pa.int32()),
        ("area", pa.int32()),
        ("run_start", pa.list_(pa.int32())),
        ("run_length", pa.list_(pa.int32())),
    ]
)


@dataclass(frozen=True, kw_only=True)
class InstanceMetadata:
    """Metadata of an instance table: what it covers and what made it.

    Attributes
    ----------
    shape
        Pixels (ny, nx) of a slice.
    slices
        Slices in which instances were looked for; None where the table does not say.
    options
        Options of the detect stage, JSON-able.
    version
        Version of tomostat that wrote the table.
    """

    shape: tuple[int, int]
    slices: range | None
    options: Mapping[str, Any]
    version: str


@dataclass(frozen=True, eq=False)
class Instances:
    """2D detections of any number of slices, as arrays.

    Attributes
    ----------
    shape
        Pixels (ny, nx) of a slice.
    slice
        Slice of each instance, (n,) int32, ascending.
    score
        Confidence of each instance, (n,) float32.
    offset
        Runs of instance i are ``offset[i]:offset[i + 1]``, (n + 1,) int64.
    run_start, run_length
        Flat positions and lengths of the runs, (m,) int32.
    """

    shape: tuple[int, int]
    slice: NDArray[np.int32]
    score: NDArray[np.float32]
    offset: NDArray[np.int64]
    run_start: NDArray[np.int32]
    run_length: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.slice)

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> Instances:
        """A table without instances."""
        none = np.zeros(0, np.int32)
        return cls(shape, none, np.zeros(0, np.float32), np.zeros(1, np.int64), none, none)

    @classmethod
    def from_labels(cls, labels: ArrayLike, slice: int, scores: ArrayLike | None = None) -> Instances:
        """Instances of one label image.

        Parameters
        ----------
        labels
            (ny, nx) integers, 0 is background.
        slice
            Index of the slice.
        scores
            Score by label value, ``scores[label]``; 1 when not given.
        """
        image = np.ascontiguousarray(labels)
        start, length, value = _label_runs(image)
        values, first, index = np.unique(value, return_index=True, return_inverse=True)
        rank = np.empty(len(values), np.int64)
        rank[np.argsort(first)] = np.arange(len(values))
        instance = rank[index]
        order = np.argsort(instance, kind="stable")
        offset = np.concatenate([[0], np.cumsum(np.bincount(instance, minlength=len(values)))]).astype(np.int64)
        score = np.ones(len(values)) if scores is None else np.asarray(scores)[values][np.argsort(first)]
        slices = np.full(len(values), slice, np.int32)
        shape = (image.shape[0], image.shape[1])
        return cls(shape, slices, score.astype(np.float32), offset, start[order], length[order])

    @classmethod
    def from_masks(
        cls,
        masks: Sequence[NDArray[np.bool_]],
        corners: ArrayLike,
        scores: ArrayLike,
        slice: int,
        shape: tuple[int, int],
    ) -> Instances:
        """Instances of one slice from masks of their boxes; a pixel of several masks goes to the one of highest score.

        Parameters
        ----------
        masks
            One boolean array (h, w) per instance, which may reach beyond the slice.
        corners
            (n, 2) row and column of each mask's first pixel.
        scores
            (n,) confidence.
        slice, shape
            Index and pixels (ny, nx) of the slice.
        """
        score = np.asarray(scores, np.float32)
        image = np.zeros(shape, np.int32)
        for i in np.argsort(score, kind="stable"):  # the highest score is painted last, over all others
            y, x = (int(v) for v in np.asarray(corners)[i])
            top, left = max(-y, 0), max(-x, 0)
            part = masks[i][top : max(shape[0] - y, 0), left : max(shape[1] - x, 0)]
            target = image[y + top : y + top + part.shape[0], x + left : x + left + part.shape[1]]
            target[part] = i + 1
        return cls.from_labels(image, slice, np.concatenate([[0], score]))

    @classmethod
    def concatenate(cls, parts: Iterable[Instances]) -> Instances:
        """Join tables of different slices, ordered by slice.

        Raises
        ------
        ValueError
            When `parts` is empty, or the slices differ in shape.
        """
        parts = sorted(parts, key=lambda part: int(part.slice[0]) if len(part) else -1)
        shapes = {part.shape for part in parts}
        if len(shapes) != 1:
            raise ValueError(f"instances are from slices of shapes {sorted(shapes)}; expected exactly one shape")
        counts = np.concatenate([np.diff(part.offset) for part in parts])
        return cls(
            shapes.pop(),
            np.concatenate([part.slice for part in parts]),
            np.concatenate([part.score for part in parts]),
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            np.concatenate([part.run_start for part in parts]),
            np.concatenate([part.run_length for part in parts]),
        )

    def take(self, which: ArrayLike) -> Instances:
        """Some of the instances, by indices (in their order) or by a boolean mask."""
        index = np.arange(len(self))[np.asarray(which)]
        counts = np.diff(self.offset)[index]
        offset = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        runs = np.repeat(self.offset[index] - offset[:-1], counts) + np.arange(offset[-1])
        return Instances(
            self.shape, self.slice[index], self.score[index], offset, self.run_start[runs], self.run_length[runs]
        )

    def of_slice(self, z: int) -> Instances:
        """The instances of one slice."""
        first, last = np.searchsorted(self.slice, [z, z + 1])
        return self.take(np.arange(first, last))

    def labels(self, z: int) -> NDArray[np.int32]:
        """Label image (ny, nx) int32 of one slice: 1 .. n in the order of the instances."""
        image = np.zeros(self.shape[0] * self.shape[1], np.int32)
        part = self.of_slice(z)
        _paint(image, part.offset, part.run_start, part.run_length, np.arange(1, len(part) + 1, dtype=np.int32))
        return image.reshape(self.shape)

    @cached_property
    def id(self) -> NDArray[np.uint64]:
        """Instance ids, (n,) uint64."""
        rank = np.arange(len(self)) - np.searchsorted(self.slice, self.slice)
        return join_ids(self.slice, rank)

    @cached_property
    def area(self) -> NDArray[np.int32]:
        """Pixels of each instance, (n,) int32."""
        total = np.concatenate([[0], np.cumsum(self.run_length, dtype=np.int64)])
        return np.diff(total[self.offset]).astype(np.int32)

    @cached_property
    def box(self) -> NDArray[np.int32]:
        """Half-open boxes y0, x0, y1, x1, (n, 4) int32."""
        return _boxes(self.offset, self.run_start, self.run_length, self.shape[1])

    def to_table(self) -> pa.Table:
        """The instances as an Arrow table of `SCHEMA`."""
        runs = [pa.ListArray.from_arrays(self.offset.astype(np.int32), values) for values in
                (self.run_start, self.run_length)]  # fmt: skip
        return pa.table([self.id, self.slice, self.score, *self.box.T, self.area, *runs], schema=SCHEMA)

    @classmethod
    def from_table(cls, table: pa.Table, shape: tuple[int, int]) -> Instances:
        """Instances from an Arrow table of `SCHEMA`."""
        starts, lengths = (table[name].combine_chunks() for name in ("run_start", "run_length"))
        counts = starts.value_lengths().to_numpy(zero_copy_only=False)
        return cls(
            shape,
            table["slice"].to_numpy(),
            table["score"].to_numpy(),
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            starts.flatten().to_numpy(),
            lengths.flatten().to_numpy(),
        )


def join_ids(slice: ArrayLike, rank: ArrayLike) -> NDArray[np.uint64]:
    """Instance ids, (n,) uint64, from slices and ranks in them, integers (n,) or one for all."""
    ids: NDArray[np.uint64] = np.asarray(slice, np.uint64) << np.uint64(32) | np.asarray(rank, np.uint64)
    return ids


def split_ids(ids: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Slices and ranks in them, each (n,) int64, of instance ids, (n,) uint64."""
    return (ids >> np.uint64(32)).astype(np.int64), (ids & np.uint64(0xFFFFFFFF)).astype(np.int64)


def write_instances(
    path: str | Path, instances: Instances, slices: range | None = None, options: Mapping[str, Any] | None = None
) -> None:
    """Write one Parquet file, whole or not at all.

    Parameters
    ----------
    path
        The file; its folder is created.
    instances
        The instances.
    slices, options
        As in `InstanceMetadata`.
    """
    record = {"shape": list(instances.shape), "options": dict(options or {}), "tomostat": __version__}
    if slices is not None:
        record["slices"] = [slices.start, slices.stop]
    table = instances.to_table().replace_schema_metadata({METADATA: json.dumps(record)})
    with atomic(path) as part:
        pq.write_table(table, part, compression="zstd")


def read_metadata(path: str | Path) -> InstanceMetadata:
    """Read the metadata of an instance table, and nothing else of it.

    Raises
    ------
    ValueError
        When the file is no instance table.
    """
    try:
        record = json.loads((pq.read_schema(path).metadata or {})[METADATA.encode()])
        ny, nx = record["shape"]
        return InstanceMetadata(
            shape=(int(ny), int(nx)),
            slices=range(*record["slices"]) if "slices" in record else None,
            options=record.get("options", {}),
            version=record.get("tomostat", ""),
        )
    except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a table of instances: {error}") from None


def count_instances(folder: str | Path) -> int:
    """Number of instances in all Parquet files of a folder, without reading them."""
    return sum(pq.read_metadata(file).num_rows for file in Path(folder).glob("*.parquet"))


def read_instances(path: str | Path, slices: range | None = None) -> Instances:
    """Read one Parquet file, or all files of a folder, of instances.

    Parameters
    ----------
    path
        A file, or a folder that holds ``*.parquet``.
    slices
        Only instances of these slices; all when not given.

    Raises
    ------
    FileNotFoundError
        When nothing is there.
    ValueError
        When a file is no instance table, or two files hold detections of one slice.
    """
    path = Path(path)
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise FileNotFoundError(f"no instance table at {path}")
    parts = []
    for file in files:
        metadata = read_metadata(file)
        if slices is not None and not _overlap(metadata.slices, slices):
            parts.append(Instances.empty(metadata.shape))
            continue
        try:
            table = pq.read_table(file, schema=SCHEMA)
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"{file} is damaged: {error}") from None
        part = Instances.from_table(table, metadata.shape)
        if slices is not None:
            part = part.take((part.slice >= slices.start) & (part.slice < slices.stop))
        parts.append(part)
    found, count = np.unique(np.concatenate([np.unique(part.slice) for part in parts]), return_counts=True)
    if (count > 1).any():
        raise ValueError(f"{path}: slice {found[count > 1][0]} is in several files; are some left from another run?")
    return Instances.concatenate(parts)


def _overlap(covered: range | None, slices: range) -> bool:
    """Whether a table may hold instances of some slices."""
    return covered is None or (covered.start < slices.stop and covered.stop > slices.start)


@numba.njit(cache=True, nogil=True)
def _label_runs(image):  # type: ignore[no-untyped-def]
    """Runs of equal non-zero labels, row by row: flat starts, lengths, labels."""
    ny, nx = image.shape
    count = 0
    for y in range(ny):
        for x in range(nx):
            if image[y, x] != 0 and (x == 0 or image[y, x] != image[y, x - 1]):
                count += 1
    start = np.empty(count, np.int32)
    length = np.zeros(count, np.int32)
    value = np.empty(count, np.int64)
    run = -1
    for y in range(ny):
        for x in range(nx):
            if image[y, x] != 0:
                if x == 0 or image[y, x] != image[y, x - 1]:
                    run += 1
                    start[run] = y * nx + x
                    value[run] = image[y, x]
                length[run] += 1
    return start, length, value


@numba.njit(cache=True, nogil=True)
def _paint(flat, offset, start, length, values):  # type: ignore[no-untyped-def]
    """Set the pixels of instance i to values[i]."""
    for i in range(len(offset) - 1):
        for run in range(offset[i], offset[i + 1]):
            flat[start[run] : start[run] + length[run]] = values[i]


@numba.njit(cache=True, nogil=True)
def _boxes(offset, start, length, nx):  # type: ignore[no-untyped-def]
    """Half-open boxes of run-length masks."""
    boxes = np.zeros((len(offset) - 1, 4), np.int32)
    for i in range(len(offset) - 1):
        y0, x0, y1, x1 = 2**30, 2**30, 0, 0
        for run in range(offset[i], offset[i + 1]):
            y, x = start[run] // nx, start[run] % nx
            y0, y1 = min(y0, y), max(y1, y + 1)
            x0, x1 = min(x0, x), max(x1, x + length[run])
        boxes[i] = y0, x0, y1, x1
    return boxes
