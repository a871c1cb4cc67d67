"""Files that are damaged at random, and what reads them: a right reading or an error that a user can mend."""

from __future__ import annotations

import random
import re
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from annotation_files import SQUARE, write_coco, write_via
from networks import TINY
from sources import GREY, hdf5, itk, nexus, npy, ome, raw, slices, tiff, zarr_array
from tomostat.annotations import read_annotations
from tomostat.detect.checkpoint import load_checkpoint, save_checkpoint
from tomostat.detect.kernels.maskrcnn import build
from tomostat.ingest import IngestOptions
from tomostat.ingest.choose import find_source, naming_plugin
from tomostat.kernels.run_lengths import compress
from tomostat.layout import Layout
from tomostat.manifest import Content, StageRecord
from tomostat.stitch.edits import Edit, read_edits, write_edits
from tomostat.study import load_study

SMALL = GREY[:3, :40, :44]

MENDABLE = (ValueError, TypeError, OSError)
"""What reading may end in."""

MOST_SECONDS, MOST_BYTES = 5.0, 2**30
"""Processor time that one file may take, and memory that all of them together may."""


def read_volume(path: Path) -> None:
    """Find the voxels, and read the first of them."""
    options = IngestOptions(shape=SMALL.shape, dtype="u2") if path.suffix == ".raw" else IngestOptions()
    found = find_source(path, options)
    z, y, x = (slice(0, min(n, 48)) for n in found.source.shape)
    with naming_plugin(found.reader, str(path)):
        found.source.read((z, y, x))


def study_file(folder: Path) -> Path:
    path = folder / "study.yaml"
    path.write_text("study: s\nspacing: [0.1, 0.1, 0.1]\nsamples:\n  - {name: a, condition: 1C, fields: [a.tif]}\n"
                    "stitch: {max_gap: 2}\nphases:\n  thresholds: [80.5, 1.2e2]\n")  # fmt: skip
    return path


def annotated(folder: Path, write: Callable[..., Path], regions: list) -> Path:
    tiff(folder / "a.tif", np.zeros((60, 80), np.uint8))
    return write(folder, regions)


def checkpoint(folder: Path) -> Path:
    save_checkpoint(folder / "a.safetensors", build(TINY, seed=0))
    return folder / "a.safetensors"


def edits(folder: Path) -> Path:
    write_edits(folder / "edits.json", [Edit("cut", 1, 2), Edit("join", 3, 14)])
    return folder / "edits.json"


def manifest(folder: Path) -> Path:
    record = StageRecord(
        key="0f", options={"threshold": [1.5, None]}, started="2026-01-01T00:00:00", finished="2026-01-01T00:01:00",
        seconds=60.5, version=3, warnings=("few particles",),
    )  # fmt: skip
    Content("s", {"a/phases": record, "a/detect": record}).write(Layout(folder).manifest)
    return folder


RUNS = [10, 20, 4770]
KINDS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "TIFF": (lambda d: tiff(d / "a.tif", SMALL), read_volume),
    "TIFF, packed": (lambda d: tiff(d / "a.tif", SMALL, compression="zlib", tile=(16, 16)), read_volume),
    "TIFF, ImageJ": (lambda d: tiff(d / "a.tif", SMALL, imagej=True, metadata={"axes": "ZYX", "spacing": 0.2}),
                     read_volume),
    "TIFF, OME": (lambda d: tiff(d / "a.ome.tif", SMALL, metadata={"axes": "ZYX"}, compression="lzw"), read_volume),
    "TIFF, slices": (lambda d: slices(d / "s", SMALL), read_volume),
    "HDF5": (lambda d: hdf5(d / "a.h5", {"x": SMALL}, chunks=(1, 20, 22), compression="gzip"), read_volume),
    "NeXus": (lambda d: nexus(d / "a.nxs"), read_volume),
    "npy": (lambda d: npy(d / "a.npy", SMALL), read_volume),
    "raw": (lambda d: raw(d / "a.raw", SMALL), read_volume),
    "zarr 2": (lambda d: zarr_array(d / "a.zarr", SMALL, zarr_format=2, chunks=(3, 20, 22)), read_volume),
    "zarr 3": (lambda d: zarr_array(d / "a.zarr", SMALL, chunks=(3, 10, 11), shards=(3, 20, 22)), read_volume),
    "OME-Zarr": (lambda d: ome(d / "a.zarr", "0.5", SMALL), read_volume),
    "NRRD": (lambda d: itk(d / "a.nrrd", SMALL), read_volume),
    "study": (study_file, load_study),
    "COCO": (lambda d: annotated(d, write_coco, [{"segmentation": [[1, 1, 9, 1, 9, 9]]}, {"segmentation": {
        "size": [60, 80], "counts": compress(np.array(RUNS))}}]), read_annotations),
    "VIA": (lambda d: annotated(d, write_via, [(SQUARE, "p")]), read_annotations),
    "checkpoint": (checkpoint, load_checkpoint),
    "edits": (edits, read_edits),
    "manifest": (manifest, Content.read),
}  # fmt: skip


ODD_WORDS = (b"null", b"[]", b"{}", b"-1", b"0", b"1e999", b"99999999999999999999", b"true", b"NaN", b'""', b'"x"',
             b"[[[1]]]", b'{"x": []}')  # fmt: skip
"""What takes the place of a word in a text that is damaged."""


def exchange_word(content: bytes, random_numbers: random.Random) -> bytes:
    """A text with a word in place of another, mostly one that leaves it a text of its kind."""
    words = list(re.finditer(rb'"[^"]*"|[\w.+-]+', content))
    if not words:
        return b""
    one = random_numbers.choice(words)
    new = random_numbers.choice([*ODD_WORDS, random_numbers.choice(words).group()])
    return content[: one.start()] + new + content[one.end() :]


ENDLESS = {("NeXus", 1, 75)}
"""Kind, seed and number of files in which HDF5 2.0 itself looks for the end of a list for ever."""


def damage(content: bytes, random_numbers: random.Random) -> bytes:
    """Bytes that are changed, lost, repeated or new at a random place; in a text often a word that becomes another."""
    if not content:
        return b"\0"
    if content.isascii() and b"\0" not in content and random_numbers.random() < 0.7:
        return exchange_word(content, random_numbers)
    at = random_numbers.randrange(len(content))
    length = random_numbers.choice([1, 1, 2, 4, 8, 64])
    part = content[at : at + length]
    kind = random_numbers.randrange(7)
    if kind == 0:
        part = bytes([part[0] ^ 1 << random_numbers.randrange(8)]) + part[1:]
    elif kind == 1:
        part = random_numbers.randbytes(len(part))
    elif kind == 2:
        part = b""
    elif kind == 3:
        part = part * random_numbers.choice([2, 50])
    elif kind == 4:
        part = random_numbers.choice(
            [b"\xff" * length, b"\0" * length, b"\x7f" + b"\xff" * length, b"9" * length, b"-1"]
        )
    elif kind == 5:
        return content[:at]
    else:
        other = random_numbers.randrange(len(content))
        part = content[other : other + length]
    return content[:at] + part + content[at + length :]


def damaged_copy(original: Path, place: Path, random_numbers: random.Random) -> Path:
    """A copy of a file or folder, with some of its bytes damaged; of a folder, those of one file or two."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(original.parent, place)
    path = place / original.name
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    for _ in range(random_numbers.choice([1, 1, 2, 3])):
        file = random_numbers.choice(files)
        file.write_bytes(damage(file.read_bytes(), random_numbers))
    return path


def read_damaged(folder: Path, kind: str, count: int, seed: int = 0) -> dict[str, int]:
    """Read so many damaged files of a kind.

    Returns
    -------
    dict
        How many were read and refused.
    """
    make, read = KINDS[kind]
    (folder / "original").mkdir()
    original = make(folder / "original")
    read(original)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    outcomes = {"read": 0, "refused": 0}
    for number in (one for one in range(count) if (kind, seed, one) not in ENDLESS):
        path = damaged_copy(original, folder / "damaged", random.Random(f"{kind} {seed} {number}"))
        start = time.process_time()
        try:
            read(path)
            outcomes["read"] += 1
        except MENDABLE:
            outcomes["refused"] += 1
        except BaseException as error:
            raise AssertionError(f"{kind}, seed {seed}, file {number}: {type(error).__name__}: {error}") from error
        taken = time.process_time() - start
        assert taken < MOST_SECONDS, f"{kind}, seed {seed}, file {number}: {taken:.1f} s"
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        assert grown < MOST_BYTES, f"{kind}, seed {seed}, file {number}: {grown / 2**30:.1f} GiB"
    return outcomes
