"""Codec and chunk for grey values and for labels: size on disk, seconds to write and read, slice and box access.

``python -m benchmarks.bench_storage`` prints the table by which the codec and chunks of `tomostat.volume.create_volume`
were chosen. Only codecs of the zarr v3 specification are compared. The classes follow asv: ``time_`` methods are timed,
``track_`` methods return one number each.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from benchmarks.resources import shortest_seconds
from tomostat.phantom import make_scene, render
from tomostat.phantom.options import PhantomOptions

CODECS: dict[str, Any] = {
    "none": None,
    "gzip 5": GzipCodec(level=5),
    "zstd 1": ZstdCodec(level=1),
    "zstd 3": ZstdCodec(level=3),
    "zstd 9": ZstdCodec(level=9),
    "blosc lz4 5, bit": BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"),
    "blosc zstd 1": BloscCodec(cname="zstd", clevel=1, shuffle="noshuffle"),
    "blosc zstd 1, bit": BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle"),
    "blosc zstd 3": BloscCodec(cname="zstd", clevel=3, shuffle="noshuffle"),
    "blosc zstd 3, bit": BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"),
    "blosc zstd 3, byte": BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
    "blosc zstd 5, bit": BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle"),
}
CHUNKS = ((8, 128, 128), (16, 64, 64), (16, 128, 128), (32, 64, 64), (32, 128, 128), (64, 64, 64), (64, 128, 128))
SHARD = (64, 256, 256)
BOX = 80
"""Side of a particle's box in voxels: a big particle at 0.2 micrometers."""
LARGE = PhantomOptions(shape=(128, 512, 512), noise=0.12, noise_correlation=0.6, blur=1.2)


@lru_cache(maxsize=2)
def electrode(options: PhantomOptions) -> dict[str, np.ndarray]:
    """Grey values of all three types, and both kinds of labels."""
    made = render(make_scene(options), (0, 0, 0), options.shape)
    wide = render(make_scene(replace(options, dtype="uint16")), (0, 0, 0), options.shape).grey
    return {
        "grey uint8": made.grey, "grey uint16": wide, "grey float32": wide.astype(np.float32) * np.float32(1e-10),
        "labels uint32": made.labels, "phases uint8": made.phases,
    }  # fmt: skip


class Store:
    """One array in one layout."""

    def __init__(self, data: np.ndarray, codec: str, chunk: tuple[int, int, int] = (32, 64, 64)) -> None:
        self.data, self.folder = data, Path(tempfile.mkdtemp(prefix="tomostat-bench-"))
        shard = tuple(min(s, 1 << (n - 1).bit_length()) for s, n in zip(SHARD, data.shape, strict=True))
        chunk = tuple(min(c, s) for c, s in zip(chunk, shard, strict=True))
        self.array = zarr.create_array(
            self.folder / "a.zarr", shape=data.shape, dtype=data.dtype, chunks=chunk, shards=shard,
            compressors=CODECS[codec], fill_value=0,
        )  # fmt: skip
        start = time.perf_counter()
        self.write()
        self.write_seconds = time.perf_counter() - start

    def write(self) -> None:
        """Write all of it."""
        self.array[:] = self.data

    def ratio(self) -> float:
        """Bytes on disk for each byte in memory."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file()) / self.data.nbytes

    def read(self) -> None:
        """Read all of it."""
        self.array[:]

    def read_slices(self) -> None:
        """Read five single slices, as a viewer does."""
        for z in np.linspace(0, self.data.shape[0] - 1, 5).astype(int):
            self.array[int(z)]

    def read_boxes(self) -> None:
        """Read the boxes of twenty particles, as measuring does."""
        rng = np.random.default_rng(0)
        for _ in range(20):
            start = [int(rng.integers(0, max(n - BOX, 1))) for n in self.data.shape]
            self.array[tuple(slice(a, a + BOX) for a in start)]

    def close(self) -> None:
        """Remove it from disk."""
        shutil.rmtree(self.folder)


class Layouts:
    """asv: every codec on one kind of data."""

    params = tuple(CODECS)
    param_names = ("codec",)
    options = PhantomOptions(shape=(32, 96, 96), diameters=(5.0, 9.0))
    data = "grey uint8"

    def setup(self, codec: str) -> None:
        """Write once."""
        self.store = Store(electrode(self.options)[self.data], codec)

    def teardown(self, codec: str) -> None:
        """Remove it."""
        self.store.close()

    def time_write(self, codec: str) -> None:
        """Write all."""
        self.store.write()

    def time_read(self, codec: str) -> None:
        """Read all."""
        self.store.read()

    def time_slices(self, codec: str) -> None:
        """Read single slices."""
        self.store.read_slices()

    def time_boxes(self, codec: str) -> None:
        """Read particles' boxes."""
        self.store.read_boxes()

    def track_ratio(self, codec: str) -> float:
        """Bytes on disk per byte."""
        return self.store.ratio()


class Labels(Layouts):
    """asv: every codec on particle labels."""

    data = "labels uint32"


def _row(name: str, store: Store) -> str:
    reads = (
        shortest_seconds(work, clock=time.perf_counter) for work in (store.read, store.read_slices, store.read_boxes)
    )
    times = store.write_seconds, *reads
    line = f"  {name:20s} {store.ratio():8.4f} " + " ".join(f"{1e3 * t:9.0f}" for t in times)
    store.close()
    return line


def main() -> None:
    """Print a table of codecs for each kind of data, and of chunks for grey values and particle labels."""
    made = electrode(LARGE)
    head = f"  {'':20s} {'size':>8s} {'write':>9s} {'read':>9s} {'5 slices':>9s} {'20 boxes':>9s}   (ms)"
    for kind, data in made.items():
        print(f"\n{kind}, {' x '.join(map(str, data.shape))}, chunks of 32 x 64 x 64\n{head}")
        for codec in CODECS:
            print(_row(codec, Store(data, codec)), flush=True)
    for kind, codec in (("grey uint8", "blosc zstd 3, bit"), ("labels uint32", "blosc zstd 3, bit")):
        print(f"\n{kind}, {codec}, shards of {' x '.join(map(str, SHARD))}\n{head}")
        for chunk in CHUNKS:
            print(_row(" x ".join(map(str, chunk)), Store(made[kind], codec, chunk)), flush=True)


if __name__ == "__main__":
    main()
