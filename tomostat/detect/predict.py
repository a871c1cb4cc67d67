"""The network as a detector: slices, cut into tiles, go through Mask R-CNN on CPU or GPU and become instances.

Nothing here depends on volumes or dask; `instances` runs a detector over a volume.
"""

from __future__ import annotations

import logging
import math
import os
import platform
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tomostat.detect.checkpoint import load_checkpoint
from tomostat.detect.detector import Detector
from tomostat.detect.kernels.maskrcnn import MaskRCNN
from tomostat.detect.kernels.masks import Tile, join_tiles, paste
from tomostat.detect.kernels.outline import snap_outlines
from tomostat.instances import Instances
from tomostat.kernels.tiles import tile_size, tile_starts

logger = logging.getLogger(__name__)

MIN_AREA = 12
"""Detections of fewer pixels are dropped as noise."""

BYTES_PER_PIXEL = 1000
"""Memory that the accurate network takes on a CPU for each pixel of a tile."""

BYTES_PER_SAMPLED_PIXEL = 200
"""Memory that it takes for each pixel of the sample of a slice."""

SAMPLE_SIZE = 512
"""Side in pixels of the crops that the sample of a slice consists of; its statistics normalise all tiles."""

MAX_SAMPLES_PER_AXIS = 4
"""Largest number of such crops along an axis of the slice."""

_load_lock = threading.Lock()


@dataclass(frozen=True, eq=False)
class Detections:
    """Detections in one tile, the most certain first.

    Attributes
    ----------
    boxes
        (n, 4) float32 x0, y0, x1, y1 in pixels of the tile.
    scores
        (n,) float32, 0 to 1.
    masks
        (n, 28, 28) float32 probabilities over each box.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    masks: NDArray[np.float32]


Located = tuple[tuple[int, int], Detections]
"""Corner (y, x) of a tile in its slice, and what was found in it."""


def choose_device(device: str) -> str:
    """The device to compute on, cpu or cuda: "auto" is a GPU where there is one.

    Raises
    ------
    ValueError
        When a GPU is requested and this machine has no GPU.
    """
    found = torch.cuda.is_available()
    if device == "cuda" and not found:
        raise ValueError(
            f"device is 'cuda' but torch finds no GPU on {platform.node()}; use 'cpu', or 'auto' for a GPU where one is"
        )
    return ("cuda" if found else "cpu") if device == "auto" else device


def half_precision(device: str) -> torch.dtype | None:
    """The type of half precision in which a device, cpu or cuda, computes faster than in single; None where in none."""
    if device != "cpu":
        return torch.float16
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # older versions of torch lack it
    return torch.bfloat16 if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else None


@lru_cache(maxsize=4)
def _network(path: str, digest: str, device: str, score: float, precision: torch.dtype | None) -> MaskRCNN:
    """The network of a checkpoint, once per process; `digest` distinguishes files of one name.

    Detections below `score` are dropped before their masks are computed.
    """
    checkpoint = load_checkpoint(path)
    network, step = checkpoint.network, checkpoint.training.step
    network.heads.score_thresh = max(network.config.score, score)
    logger.info("network %s from %s (%s), step %d", network.config.backbone, path, digest[:12], step)
    network.precision = precision
    return network.to(device).eval()


@dataclass(frozen=True, kw_only=True)
class NetworkDetector(Detector):
    """Mask R-CNN as a detector: small enough to be sent with every task; each worker loads the network once.

    Attributes
    ----------
    weights
        Path of the checkpoint.
    fingerprint
        SHA-256 of the checkpoint.
    halo
        Neighbouring slices on either side that the network takes as input.
    score, tile, overlap, batch, device, precision, threads
        As in `DetectOptions`; the machine that computes chooses the device.
    """

    weights: str
    fingerprint: str
    halo: int = 0
    score: float = 0.5
    tile: int = 1024
    overlap: int = 192
    batch: int = 4
    device: str = "cpu"
    precision: str = "auto"
    threads: int = 1

    def __call__(self, grey: NDArray[np.float32], phases: NDArray[np.uint8], first: int) -> Instances:
        """Find particles in slices ``first``, ``first + 1``, ...; see `Detector.__call__` (`phases` is not used)."""
        here = replace(self, device=choose_device(self.device))
        precision = half_precision(here.device) if self.precision == "auto" else None
        with _load_lock:
            network = _network(self.weights, self.fingerprint, here.device, self.score, precision)
        torch.set_num_threads(self.threads)
        return here.find(network, grey, first)

    def find(self, network: MaskRCNN, grey: NDArray[np.float32], first: int = 0) -> Instances:
        """Find particles with a network that is loaded already.

        Parameters
        ----------
        network
            On the device of the detector, in evaluation mode.
        grey
            (n, ny, nx) float32, scaled grey values.
        first
            Index of the first slice.

        Returns
        -------
        Instances
            Particles of slices ``first`` to ``first + n - 1``.
        """
        shape = (grey.shape[1], grey.shape[2])
        size = self._size(shape)
        found = self._in_tiles(network, grey) if size != shape else self._whole(network, grey)

        def finish(z: int, tiles: list[Located]) -> Instances:
            return _slice_instances([tile_detections(f, size, c, self.score) for c, f in tiles], first + z, grey[z])

        if self.device == "cpu":
            parts = [finish(z, tiles) for z, tiles in enumerate(found)]
        else:  # the GPU goes on meanwhile
            with ThreadPoolExecutor(_cores()) as pool:
                parts = list(pool.map(finish, range(len(grey)), found))
        return Instances.concatenate([Instances.empty(shape), *parts])

    def memory(self, shape: tuple[int, int]) -> int:
        """Bytes of main memory that the network takes for slices of `shape`; 0 where only a GPU will do."""
        size = self._size(shape)
        sampled = math.prod(min(n, MAX_SAMPLES_PER_AXIS * SAMPLE_SIZE) for n in shape) if size != shape else 0
        need = max(BYTES_PER_PIXEL * math.prod(size), BYTES_PER_SAMPLED_PIXEL * sampled)
        return 0 if self.device == "cuda" else need

    def _size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Pixels of the tiles of a slice."""
        return tile_size(shape[0], self.tile, self.overlap), tile_size(shape[1], self.tile, self.overlap)

    def _whole(self, network: MaskRCNN, grey: NDArray[np.float32]) -> Iterator[list[Located]]:
        """Detections in slices that need no tiles; several slices go through together."""
        shape = grey.shape[1:]
        images = (self._cut(grey, (z, 0, 0), shape) for z in range(len(grey)))
        for detections in detect_tiles(network, images, self.batch, self.device):
            yield [((0, 0), detections)]

    def _in_tiles(self, network: MaskRCNN, grey: NDArray[np.float32]) -> Iterator[list[Located]]:
        """Detections in the tiles of one slice after the other."""
        ny, nx = grey.shape[1:]
        size = self._size((ny, nx))
        corners = list(product(tile_starts(ny, size[0], self.overlap), tile_starts(nx, size[1], self.overlap)))
        for z in range(len(grey)):
            sample, tiles = self._sample(grey, z), (self._cut(grey, (z, *corner), size) for corner in corners)
            with torch.inference_mode(), network.shared_statistics(sample.to(self.device)):
                found = list(detect_tiles(network, tiles, self.batch, self.device))
            yield list(zip(corners, found, strict=True))

    def _sample(self, grey: NDArray[np.float32], z: int) -> torch.Tensor:
        """Crops (n, slices, h, w) spread evenly over a slice, the same for any tiles."""
        size = (min(SAMPLE_SIZE, grey.shape[1]), min(SAMPLE_SIZE, grey.shape[2]))
        starts = []
        for length, side in zip(grey.shape[1:], size, strict=True):
            count = min(math.ceil(length / side), MAX_SAMPLES_PER_AXIS)
            middles = (np.arange(count) + 0.5) * length / count
            starts.append(np.clip(middles - side / 2, 0, length - side).round().astype(int))
        return torch.stack([self._cut(grey, (z, *corner), size) for corner in product(*starts)])

    def _cut(self, grey: NDArray[np.float32], place: tuple[int, int, int], size: tuple[int, ...]) -> torch.Tensor:
        """One tile (slices, h, w) with the neighbouring slices that the network takes."""
        z, y, x = place
        around = np.clip(np.arange(z - self.halo, z + self.halo + 1), 0, len(grey) - 1)
        image = np.asarray(grey[around, y : y + size[0], x : x + size[1]], np.float32)
        return torch.from_numpy(np.ascontiguousarray(np.clip(image, -0.5, 1.8)))


def detect_tiles(network: MaskRCNN, images: Iterator[torch.Tensor], batch: int, device: str) -> Iterator[Detections]:
    """Run the network over tiles of one shape.

    On a CPU tiles go one by one: batches are no faster there, and the result of a tile is then independent of the
    other tiles of the batch. When the memory of a GPU runs out, the batch is halved.

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
    Detections
        One per tile, in order.
    """
    if device == "cpu":
        batch = 1
    else:
        images = _ahead(images, batch)
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
            logger.warning("GPU memory ran out: continuing with batches of %d", batch)
            continue
        waiting = waiting[len(now) :]
        for result in results:
            yield Detections(
                boxes=result["boxes"].float().cpu().numpy(),
                scores=result["scores"].float().cpu().numpy(),
                masks=result["masks"][:, 0].float().cpu().numpy(),
            )


def _ahead(images: Iterator[torch.Tensor], count: int) -> Iterator[torch.Tensor]:
    """The same images; another thread makes the next ones, so many at most, while the GPU computes."""
    with ThreadPoolExecutor(1) as pool:
        coming = deque(pool.submit(next, images, None) for _ in range(count))
        while (image := coming.popleft().result()) is not None:
            coming.append(pool.submit(next, images, None))
            yield image


def tile_detections(found: Detections, size: tuple[int, ...], corner: tuple[int, int], score: float) -> Tile:
    """Detections of at least `score`, pasted without overlap into a tile of `size` pixels."""
    count = np.count_nonzero(found.scores >= score)  # the first ones: the most certain
    labels, area = paste(found.masks[:count], found.boxes[:count], (size[0], size[1]))
    kept = area >= MIN_AREA
    number = np.concatenate([[0], np.cumsum(kept) * kept]).astype(np.int32)
    return Tile(corner, np.take(number, labels), found.scores[:count][kept])


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _slice_instances(tiles: list[Tile], z: int, grey: NDArray[np.float32]) -> Instances:
    """Instances of one slice from its tiles, with outlines moved to the edges in the grey values."""
    labels, scores = tiles[0].labels, np.concatenate([[0], tiles[0].scores])
    if len(tiles) > 1:
        labels, scores = join_tiles(tiles, (grey.shape[0], grey.shape[1]))
    return Instances.from_labels(snap_outlines(labels, grey), z, scores)
