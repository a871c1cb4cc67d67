"""Training crops: cut from labelled slices and augmented, with the targets that the network is trained on.

A source is any callable ``source(rng) -> (grey, labels)`` that draws a labelled slice: random slices
(`kernels.random_slices`), slices of volumes, or annotated slices. Grey is (ny, nx) float32, percentiles 0.5 and 99.5 at
0 and 1, or (slices, ny, nx) with the neighbouring slices z - 1 and z + 1. Labels are (ny, nx) int32, with cracks and
holes of particles filled, 0 in the background and `IGNORED` in pixels that are not to be trained on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from tomostat.detect.kernels.grey import noise, rings
from tomostat.detect.options import TrainOptions

LabelledSlice = tuple[NDArray[np.float32], NDArray[np.int32]]
"""Grey and labels."""

Source = Callable[[np.random.Generator], LabelledSlice]
"""Draws a labelled slice."""

IGNORED = -1
"""Label of pixels that are trained as neither particle nor background."""

CROPS_PER_SLICE = 4
"""Crops of a batch that are cut from the same slice: drawing a slice takes as long as cutting them."""

SMALLEST_SIDE = 48
"""Shortest side in pixels of crops that are smaller than `TrainOptions.crop`."""

TRIES = 200
"""Crops that are drawn at most until one is useful: it has a particle, or less of it is ignored than `MAX_IGNORED`."""

MAX_IGNORED = 0.9
"""Share of a crop without particles that may be ignored."""


@dataclass(frozen=True)
class Mixture:
    """A source that draws from several sources, with probabilities in proportion to their weights."""

    sources: Sequence[Source]
    weights: Sequence[float]

    def __call__(self, rng: np.random.Generator) -> LabelledSlice:
        """Draw from one of them."""
        share = np.asarray(self.weights, float) / np.sum(self.weights)
        return self.sources[rng.choice(len(self.sources), p=share)](rng)


@dataclass(frozen=True)
class FixedSlices:
    """A source that draws from a fixed set of slices, such as annotated ones.

    Attributes
    ----------
    slices
        The labelled slices.

    Raises
    ------
    ValueError
        When no slice contains a particle.
    """

    slices: Sequence[LabelledSlice]

    def __post_init__(self) -> None:
        if not any((labels > 0).any() for _, labels in self.slices):
            raise ValueError(
                f"slices: none of the {len(self.slices)} given contains a particle; expected at least one particle"
            )

    def __call__(self, rng: np.random.Generator) -> LabelledSlice:
        """Draw one of them."""
        return self.slices[int(rng.integers(len(self.slices)))]


def augment(
    rng: np.random.Generator,
    grey: NDArray[np.float32],
    labels: NDArray[np.int32],
    shape: tuple[int, int],
    zooms: tuple[float, float],
) -> LabelledSlice:
    """Cut a random crop: placed, turned, mirrored, zoomed and bent; then vary blur, noise, rings, contrast, shading.

    Parameters
    ----------
    rng
        Source of all randomness.
    grey, labels
        Grey (ny, nx) or (slices, ny, nx), and labels (ny, nx).
    shape
        Pixels (h, w) of the crop.
    zooms
        Smallest and largest magnification.

    Returns
    -------
    grey : ndarray
        (1 or slices, h, w) float32.
    labels : ndarray
        (h, w) int32.
    """
    stack = grey.reshape(-1, *labels.shape)
    zoom = math.exp(rng.uniform(math.log(zooms[0]), math.log(zooms[1])))
    turn = rng.uniform(0, 2 * math.pi) if rng.random() < 0.5 else rng.integers(4) * math.pi / 2
    mirror = rng.choice([-1.0, 1.0])
    matrix = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) * [1.0, mirror] / zoom
    matrix = matrix * np.exp(rng.normal(0, 0.08, (2, 1)))
    centre = _centre(rng, labels, np.array(shape) / zoom)
    at = np.stack(np.meshgrid(*(np.arange(size) - (size - 1) / 2 for size in shape), indexing="ij"))
    where = np.tensordot(matrix, at, 1) + centre[:, None, None]
    if rng.random() < 0.3:
        where += rng.uniform(0, 3) * np.stack([noise(rng, shape, rng.uniform(15, 40)) for _ in range(2)])
    if zoom < 0.8:  # against aliasing
        stack = ndimage.gaussian_filter(stack, (0, 0.4 / zoom, 0.4 / zoom))
    image = np.stack([ndimage.map_coordinates(one, where, order=1, mode="mirror") for one in stack])
    return _vary_appearance(rng, image), _mirrored(labels, where)


def _centre(rng: np.random.Generator, labels: NDArray[np.int32], side: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre (y, x) of a crop of `side` pixels (h, w); if most of the slice is ignored, near pixels that are not."""
    shape = np.array(labels.shape)
    margin = np.minimum(side / 2, shape / 2)
    centre = rng.uniform(margin, shape - margin)
    known = np.flatnonzero(labels != IGNORED)
    if 2 * len(known) > labels.size or not len(known):
        return centre
    place = np.unravel_index(known[rng.integers(len(known))], labels.shape)
    return np.clip(place + rng.uniform(-side / 2, side / 2, 2), margin, shape - margin)


def _mirrored(labels: NDArray[np.int32], where: NDArray[np.floating]) -> NDArray[np.int32]:
    """Labels at the positions `where`, (2, h, w), mirrored beyond the edges of the slice like the grey values.

    The mirror image of a particle gets a label of its own, unless the particle is cut by that edge: the two halves are
    then one particle.
    """
    truth = ndimage.map_coordinates(labels, where, order=0, mode="mirror")
    keys = [truth]
    for axis, length in enumerate(labels.shape):
        image = np.rint((where[axis].round() - (length - 1) / 2) / max(length - 1, 1)).astype(int)  # 0 is the slice
        low, high = (np.isin(truth, labels.take(edge, axis)) for edge in (0, -1))
        keys.append(np.select([low & high, low, high], [0, (image + 1) // 2, image // 2], image))
    particles = truth > 0
    truth[particles] = 1 + np.unique(np.stack(keys)[:, particles], axis=1, return_inverse=True)[1]
    return truth


def _vary_appearance(rng: np.random.Generator, image: NDArray[Any]) -> NDArray[np.float32]:
    """Vary blur, noise, rings, contrast and shading, and blank out a small patch."""
    shape = image.shape[1], image.shape[2]
    if rng.random() < 0.3:
        image = ndimage.gaussian_filter(image, (0, *[rng.uniform(0.3, 1.3)] * 2))
    if rng.random() < 0.5:
        amplitude, grain = rng.uniform(0, 0.1), rng.uniform(0, 1.2)
        image = image + amplitude * np.stack([noise(rng, shape, grain) for _ in image])
    if rng.random() < 0.1:
        image = image + rings(rng, shape)
    if rng.random() < 0.3:
        image = image + rng.uniform(0, 0.1) * noise(rng, shape, rng.uniform(40, 100))
    if rng.random() < 0.5:
        image = np.sign(image) * np.abs(image) ** rng.uniform(0.7, 1.4)
    image = image * rng.normal(1, 0.08) + rng.normal(0, 0.05)
    if rng.random() < 0.1:
        y, x = rng.integers(0, np.array(shape) - 8)
        image[:, y : y + rng.integers(3, 16), x : x + rng.integers(3, 16)] = rng.uniform(0, 1)
    return np.clip(image, -0.5, 1.8).astype(np.float32)


def targets_of(labels: NDArray[np.int32], *, smallest: int = 20) -> dict[str, Tensor]:
    """Training targets of one label image.

    Parameters
    ----------
    labels
        (ny, nx) int32.
    smallest
        Particles of fewer pixels are left out, as are those less than 4 pixels wide or high.

    Returns
    -------
    dict
        boxes (k, 4) float32 x0 y0 x1 y1, labels (k,) int64 of ones, masks (k, ny, nx) uint8, ignored (ny, nx) bool.
    """
    boxes, masks = [], []
    for i, found in enumerate(ndimage.find_objects(np.maximum(labels, 0)), start=1):
        if found is None:
            continue
        mask = labels[found] == i
        if np.count_nonzero(mask) < smallest or min(mask.shape) < 4:
            continue
        rows, columns = found
        boxes.append((columns.start, rows.start, columns.stop, rows.stop))
        full = np.zeros(labels.shape, np.uint8)
        full[found] = mask
        masks.append(full)
    count = len(boxes)
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(count, 4),
        "labels": torch.ones(count, dtype=torch.int64),
        "masks": torch.from_numpy(np.stack(masks) if count else np.zeros((0, *labels.shape), np.uint8)),
        "ignored": torch.from_numpy(labels == IGNORED),
    }


class Crops(IterableDataset[tuple[Tensor, list[dict[str, Tensor]]]]):
    """Batches of augmented crops, from step `first` to the last one.

    Batch k depends on the seed and k only, so that a training can be resumed, and several processes can draw batches in
    turn.
    """

    def __init__(self, source: Source, options: TrainOptions, first: int = 0) -> None:
        self.source, self.options, self.first = source, options, first

    def __iter__(self) -> Iterator[tuple[Tensor, list[dict[str, Tensor]]]]:
        """Batches: images (batch, 1 or slices, h, w) and their targets."""
        worker = get_worker_info()
        mine, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        for step in range(self.first + mine, self.options.steps, workers):
            crops = self._batch(np.random.default_rng([self.options.seed, 1, step]))
            yield torch.from_numpy(np.stack([grey for grey, _ in crops])), [targets for _, targets in crops]

    def _batch(self, rng: np.random.Generator) -> list[tuple[NDArray[np.float32], dict[str, Tensor]]]:
        """The crops of one step, all of one shape."""
        each = 1 if isinstance(self.source, FixedSlices) else CROPS_PER_SLICE
        shape, crops = self._shape(rng), []
        for first in range(0, self.options.batch, each):
            drawn = self.source(rng)
            crops += [self._crop(rng, drawn, shape) for _ in range(min(each, self.options.batch - first))]
        return crops

    def _shape(self, rng: np.random.Generator) -> tuple[int, int]:
        """Pixels of the crops of a step: squares, or smaller than these."""
        side = self.options.crop
        if rng.random() >= self.options.smaller:
            return side, side
        ny, nx = (int(n) for n in rng.integers(min(SMALLEST_SIDE, side), side + 1, 2))
        return ny, nx

    def _crop(
        self, rng: np.random.Generator, drawn: LabelledSlice, shape: tuple[int, int]
    ) -> tuple[NDArray[np.float32], dict[str, Tensor]]:
        """A useful crop of a slice, or of another where the slice has none, and its targets.

        Raises
        ------
        ValueError
            When almost everything is ignored in `TRIES` crops.
        """
        for _ in range(TRIES):
            grey, labels = augment(rng, *drawn, shape, self.options.zoom)
            targets = targets_of(labels)
            if len(targets["boxes"]) or targets["ignored"].float().mean() < MAX_IGNORED:
                return grey, targets
            drawn = self.source(rng)
        raise ValueError(f"slices: {TRIES} crops of {self.options.crop} pixels contain almost no annotated pixels")
