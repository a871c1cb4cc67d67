"""The network as a detector: tiles of slices through Mask R-CNN on CPU or GPU, to instances.

Nothing here knows of volumes or dask; `instances` runs a detector over a volume.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tomostat.detect.checkpoint import load_checkpoint
from tomostat.detect.detector import Detector
from tomostat.detect.kernels.maskrcnn import MaskRCNN
from tomostat.detect.kernels.masks import Tile, join_tiles, paste, tile_size, tile_starts
from tomostat.detect.kernels.outline import snap_outlines
from tomostat.instances import Instances

logger = logging.getLogger(__name__)

SMALLEST = 12
"""Detections of fewer pixels are noise."""

BYTES_PER_PIXEL, BYTES_PER_SAMPLED = 1000, 200
"""Memory that the light network takes on a CPU for a pixel of a tile, and of the sample of a slice."""

SAMPLE, MOST_SAMPLES = 512, 4
"""Edge in pixels of the crops of a slice that tell what all its tiles are normalised by, and how many along an axis."""

_loading = threading.Lock()


def choose_device(device: str) -> str:
    """The device to compute on: "auto" takes a GPU where there is one.

    Raises
    ------
    ValueError
        When a GPU is asked for and there is none.
    """
    found = torch.cuda.is_available()
    if device == "cuda" and not found:
        raise ValueError(
            "device is 'cuda' but torch finds no GPU here; use 'cpu', or 'auto' to take a GPU where there is one"
        )
    return ("cuda" if found else "cpu") if device == "auto" else device


@lru_cache(maxsize=4)
def _network(path: str, digest: str, device: str, score: float) -> MaskRCNN:
    """The network of a checkpoint, once per process; `digest` tells apart files of one name.

    What scores below `score` is dropped before masks are made of it.
    """
    network, about = load_checkpoint(path)
    network.heads.score_thresh = max(network.config.score, score)
    logger.info("network %s from %s (%s), step %s", network.config.backbone, path, digest[:12], about.get("step"))
    if device != "cpu":
        network.precision = torch.float16
    return network.to(device).eval()


@dataclass(frozen=True, kw_only=True)
class NetworkDetector(Detector):
    """Mask R-CNN as a detector: small to send to a worker, where the network is loaded once.

    Attributes
    ----------
    weights
        Path of the checkpoint.
    fingerprint
        SHA-256 of the checkpoint.
    halo
        Neighbouring slices that the network looks at.
    score, tile, overlap, batch, device, threads
        As in `DetectOptions`.
    """

    weights: str
    fingerprint: str
    halo: int = 0
    score: float = 0.5
    tile: int = 1024
    overlap: int = 192
    batch: int = 4
    device: str = "cpu"
    threads: int = 1

    def __call__(self, grey: NDArray[np.float32], phases: NDArray[np.uint8], first: int) -> Instances:
        """Find particles in slices ``first``, ``first + 1``, ... (`phases` is not looked at)."""
        with _loading:
            network = _network(self.weights, self.fingerprint, self.device, self.score)
        torch.set_num_threads(self.threads)
        return self.find(network, grey, first)

    def find(self, network: MaskRCNN, grey: NDArray[np.float32], first: int = 0) -> Instances:
        """Find particles with a network that stands on the device already, in evaluation mode."""
        shape = (grey.shape[1], grey.shape[2])
        tiles = self._in_tiles(network, grey) if self._size(shape) != shape else self._whole(network, grey)
        parts = [_slice_instances(found, first + z, grey[z]) for z, found in enumerate(tiles)]
        return Instances.concatenate([Instances.empty(shape), *parts])

    def memory(self, shape: tuple[int, int]) -> int:
        """Bytes that the network takes beside slices of `shape`: on a GPU they are the GPU's."""
        size = self._size(shape)
        sampled = math.prod(min(n, MOST_SAMPLES * SAMPLE) for n in shape) if size != shape else 0
        need = max(BYTES_PER_PIXEL * math.prod(size), BYTES_PER_SAMPLED * sampled)
        return need if self.device == "cpu" else 0

    def _size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Pixels of the tiles of a slice."""
        return tile_size(shape[0], self.tile, self.overlap), tile_size(shape[1], self.tile, self.overlap)

    def _whole(self, network: MaskRCNN, grey: NDArray[np.float32]) -> Iterator[list[Tile]]:
        """What is found in slices that need no tiles; several go through together."""
        shape = grey.shape[1:]
        images = (self._cut(grey, (z, 0, 0), shape) for z in range(len(grey)))
        for detections in detect_tiles(network, images, self.batch, self.device):
            yield [found_in_tile(detections, shape, score=self.score)]

    def _in_tiles(self, network: MaskRCNN, grey: NDArray[np.float32]) -> Iterator[list[Tile]]:
        """What is found in the tiles of one slice after the other."""
        ny, nx = grey.shape[1:]
        size = self._size((ny, nx))
        corners = list(product(tile_starts(ny, size[0], self.overlap), tile_starts(nx, size[1], self.overlap)))
        for z in range(len(grey)):
            sample, tiles = self._sample(grey, z), (self._cut(grey, (z, *corner), size) for corner in corners)
            with torch.inference_mode(), network.seen_alike(sample.to(self.device)):
                found = list(detect_tiles(network, tiles, self.batch, self.device))
            yield [found_in_tile(f, size, corner, self.score) for f, corner in zip(found, corners, strict=True)]

    def _sample(self, grey: NDArray[np.float32], z: int) -> torch.Tensor:
        """Crops (n, slices, h, w) spread evenly over a slice, whichever the tiles."""
        size = (min(SAMPLE, grey.shape[1]), min(SAMPLE, grey.shape[2]))
        starts = []
        for length, side in zip(grey.shape[1:], size, strict=True):
            count = min(math.ceil(length / side), MOST_SAMPLES)
            middles = (np.arange(count) + 0.5) * length / count
            starts.append(np.clip(middles - side / 2, 0, length - side).round().astype(int))
        return torch.stack([self._cut(grey, (z, *corner), size) for corner in product(*starts)])

    def _cut(self, grey: NDArray[np.float32], place: tuple[int, int, int], size: tuple[int, ...]) -> torch.Tensor:
        """One tile (slices, h, w) with neighbouring slices where the network wants them."""
        z, y, x = place
        around = np.clip(np.arange(z - self.halo, z + self.halo + 1), 0, len(grey) - 1)
        image = np.asarray(grey[around, y : y + size[0], x : x + size[1]], np.float32)
        return torch.from_numpy(np.ascontiguousarray(np.clip(image, -0.5, 1.8)))


def detect_tiles(
    network: MaskRCNN, images: Iterator[torch.Tensor], batch: int, device: str
) -> Iterator[dict[str, NDArray[Any]]]:
    """Run the network over tiles of one shape.

    On a CPU tiles go one by one: batches gain nothing there, and every tile's result is then independent of its
    neighbours in the batch. When a GPU's memory runs out the batch is halved.

    Parameters
    ----------
    network
        On its device, in evaluation mode.
    images
        Tiles (slices, h, w) float32.
    batch
        Tiles that go through together on a GPU.
    device
        cpu or cuda.

    Yields
    ------
    dict
        boxes (n, 4), scores (n,), masks (n, 28, 28) float32 per tile, best first.
    """
    batch = batch if device != "cpu" else 1
    waiting: list[torch.Tensor] = []
    exhausted = False
    while not exhausted or waiting:
        while len(waiting) < batch and not exhausted:
            image = next(images, None)
            exhausted = image is None
            waiting += [] if image is None else [image]
        if not waiting:
            return
        now = waiting[:batch]
        try:
            with torch.inference_mode():
                results = network(torch.stack(now).to(device))
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
            batch //= 2
            torch.cuda.empty_cache()
            logger.warning("GPU memory ran out: going on with batches of %d", batch)
            continue
        waiting = waiting[len(now) :]
        for result in results:
            yield {
                "boxes": result["boxes"].float().cpu().numpy(),
                "scores": result["scores"].float().cpu().numpy(),
                "masks": result["masks"][:, 0].float().cpu().numpy(),
            }


def found_in_tile(
    found: dict[str, NDArray[Any]], size: tuple[int, ...], corner: tuple[int, int] = (0, 0), score: float = 0.0
) -> Tile:
    """Detections of a tile of `size` pixels above `score`, pasted and disjoint."""
    good = found["scores"] >= score
    labels, kept = paste(found["masks"][good], found["boxes"][good], (size[0], size[1]))
    kept &= np.bincount(labels.ravel(), minlength=len(kept) + 1)[1:] >= SMALLEST
    number = np.concatenate([[0], np.cumsum(kept) * kept]).astype(np.int32)
    return Tile(corner, number[labels], found["scores"][good][kept])


def _slice_instances(tiles: list[Tile], z: int, grey: NDArray[np.float32]) -> Instances:
    """Instances of one slice from its tiles, outlines where the grey values put them."""
    labels, scores = tiles[0].labels, np.concatenate([[0], tiles[0].scores])
    if len(tiles) > 1:
        labels, scores = join_tiles(tiles, (grey.shape[0], grey.shape[1]))
    return Instances.from_labels(snap_outlines(labels, grey), z, scores)
