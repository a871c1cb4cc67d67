"""All stages on synthetic electrodes: accuracy, time, peak memory, and equal results for any chunking.

``python -m benchmarks.bench_pipeline`` prints what is measured beside what is required. The classes follow asv:
``track_`` methods return one number each. With `SMALL` they run in seconds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import tomostat as ts
from benchmarks.report import Result, print_results
from benchmarks.resources import reset_peak_memory
from tomostat import pipeline
from tomostat.cluster import open_cluster
from tomostat.detect.options import DetectOptions
from tomostat.events import peak_memory
from tomostat.execution import Execution
from tomostat.kernels.matching import overlaps_of_labels
from tomostat.kernels.score import Scores, score_labels
from tomostat.layout import Layout
from tomostat.manifest import Content
from tomostat.options import StageOptions
from tomostat.phantom.options import PhantomOptions
from tomostat.stage import all_stages
from tomostat.study import study_of_volume

Labels = NDArray[np.uint32]

HELD_OUT = PhantomOptions(shape=(160, 384, 384), seed=777_001)
"""An electrode on which no weights were trained and no threshold was chosen."""
SMALL = PhantomOptions(shape=(40, 96, 96), seed=777_002, diameters=(3.0, 5.0))
"""An electrode that all stages take some seconds for."""

FOLDERS: list[tempfile.TemporaryDirectory[str]] = []
"""Kept until the process ends."""


def new_folder() -> Path:
    """An empty folder that is removed when the process ends."""
    FOLDERS.append(tempfile.TemporaryDirectory(prefix="tomostat-bench-"))
    return Path(FOLDERS[-1].name)


@lru_cache(maxsize=4)
def electrode(options: PhantomOptions) -> Path:
    """A simulated volume, made once."""
    return ts.simulate_volume(new_folder() / "electrode.zarr", options)


def stage_names(last: str | None = None) -> list[str]:
    """Stages that a user can name, in order, up to `last`."""
    names = [stage.name for stage in all_stages() if stage.part_of is None]
    return names if last is None else names[: names.index(last) + 1]


def run(
    volume: Path, workers: int = 2, last: str | None = None, **options: StageOptions
) -> tuple[Layout, dict[str, float], dict[str, int]]:
    """Run all stages on one volume, or those up to `last`.

    Returns
    -------
    Layout, dict, dict
        The output, seconds by stage, and peak memory in bytes by stage, of the worker that took most.
    """
    folder = new_folder() / "results"
    study = study_of_volume(volume, folder).with_options(**options)
    peaks = {}
    with open_cluster(workers=workers) as client:
        for stage in stage_names(last):
            layout = pipeline.run(study, stages=[stage], execution=Execution(client=client))
            peaks[stage] = max(client.run(peak_memory).values())
            client.run(reset_peak_memory)
    return layout, Content.read(layout.root).seconds(), peaks


def scores_3d(layout: Layout, volume: Path) -> Scores:
    """Particles found, compared with the true ones."""
    truth = ts.open_volume(volume, "truth_particles").values
    found = ts.open_volume(layout.volume("electrode"), "particles").values
    return score_labels(truth, found)


def matching_labels(truth: Labels, found: Labels) -> tuple[Labels, Labels, NDArray[np.float64]]:
    """True and found labels of the particles that match at IoU 0.5, and their IoU."""
    table = overlaps_of_labels(truth, found)
    pairs = np.flatnonzero(table.iou >= 0.5)
    return table.first_label[table.first[pairs]], table.second_label[table.second[pairs]], table.iou[pairs]


def digest(layout: Layout) -> str:
    """Hash of the label volume and the table."""
    labels = ts.open_volume(layout.volume("electrode"), "particles").values
    return hashlib.sha256(labels.tobytes() + layout.particles.with_suffix(".csv").read_bytes()).hexdigest()


class EndToEnd:
    """Accuracy and speed on one electrode."""

    options = HELD_OUT
    detect = DetectOptions()
    last: str | None = None
    """Last stage to run; all when None."""

    def setup(self) -> None:
        """Run once; the methods below read the results."""
        self.volume = electrode(self.options)
        self.layout, self.seconds, self.peaks = run(self.volume, last=self.last, detect=self.detect)
        self.scores = scores_3d(self.layout, self.volume)

    def track_f1(self) -> float:
        """F1 of the particles at IoU 0.5."""
        return self.scores.f1

    def track_pq(self) -> float:
        """Panoptic quality of the particles."""
        return self.scores.pq

    def track_count_error(self) -> float:
        """Relative error of the particle count."""
        return abs(self.scores.found / self.scores.truth - 1)

    def track_voxels_per_second(self) -> float:
        """Voxels per second through all stages."""
        return float(np.prod(self.options.shape)) / sum(self.seconds.values())

    def track_detachment_error(self) -> float:
        """Mean absolute error of the detachment of inner particles that were found."""
        return float(np.abs(np.subtract(*self.detachments())).mean())

    def track_detachment_correlation(self) -> float:
        """Pearson correlation of found and true detachment of inner particles."""
        return float(np.corrcoef(*self.detachments())[0, 1])

    def detachments(self) -> tuple[np.ndarray, np.ndarray]:
        """Measured and true detachment of the particles that match at IoU 0.5 and lie inside."""
        from tomostat.phantom import make_scene, truth_table

        truth = ts.open_volume(self.volume, "truth_particles").values
        found = ts.open_volume(self.layout.volume("electrode"), "particles").values
        true_label, found_label, _ = matching_labels(truth, found)
        columns = ["label", "touches_border", "detachment"]
        measured = ts.open_particles(self.layout.particles)[columns].to_dataframe().set_index("label")
        known = truth_table(make_scene(self.options)).set_index("label")
        measured, known = measured.loc[found_label], known.loc[true_label]
        inside = ~measured["touches_border"].to_numpy(bool) & np.isfinite(measured["detachment"].to_numpy(float))
        return measured["detachment"].to_numpy(float)[inside], known["detachment"].to_numpy(float)[inside]


class Memory:
    """Peak memory of a worker at equal blocks for two sizes of volume."""

    shapes = ((256, 256, 256), (512, 512, 512))
    slices = (32, 8)
    """Slices of a block of detection: equal voxels in both."""
    detect = DetectOptions(tile=256, overlap=0)

    def track_memory_ratio(self) -> float:
        """Peak of the larger volume over peak of the smaller."""
        peaks = []
        for shape, slices in zip(self.shapes, self.slices, strict=True):
            options = dataclasses.replace(HELD_OUT, shape=shape)
            detect = dataclasses.replace(self.detect, slices=slices)
            by_stage = run(electrode(options), workers=1, detect=detect)[2]
            peaks.append(max(by_stage.values()))
            each = ", ".join(f"{stage} {peak / 2**30:.2f}" for stage, peak in by_stage.items())
            print(f"{' x '.join(map(str, shape))}: {peaks[-1] / 2**30:.2f} GiB ({each})", flush=True)
        return peaks[1] / peaks[0]


class Chunking:
    """The same labels and tables for any block of slices and any number of workers."""

    options = dataclasses.replace(HELD_OUT, shape=(96, 288, 288))
    detect = DetectOptions()
    cases = ((8, 1), (32, 2), (96, 2))

    def track_distinct_results(self) -> int:
        """Number of different results; it must be 1."""
        volume = electrode(self.options)
        found = set()
        for slices, workers in self.cases:
            detect = dataclasses.replace(self.detect, slices=slices)
            found.add(digest(run(volume, workers, "measure", detect=detect)[0]))
        return len(found)


def main() -> None:
    """Print all tables."""
    start = time.perf_counter()
    whole = EndToEnd()
    whole.setup()
    print_results(
        f"held-out electrode, {' x '.join(map(str, HELD_OUT.shape))}, shipped network",
        [
            Result("3D F1 at IoU 0.5", whole.track_f1(), 0.90),
            Result("3D panoptic quality", whole.track_pq(), 0.75),
            Result("particle count, relative error", whole.track_count_error(), 0.05, "<="),
            Result("detachment, mean absolute error", whole.track_detachment_error(), 0.03, "<="),
            Result("detachment, correlation with the truth", whole.track_detachment_correlation(), 0.95),
            *(Result(f"{stage}", seconds, unit="s") for stage, seconds in whole.seconds.items()),
            Result("all stages", whole.track_voxels_per_second() / 1e6, unit="Mvoxel/s"),
            Result("peak memory of a worker", max(whole.peaks.values()) / 2**30, unit="GiB"),
        ],
    )
    chunking = Chunking()
    print_results(
        "equal labels and tables for these blocks of slices and numbers of workers: " + str(Chunking.cases),
        [Result("different results", chunking.track_distinct_results(), 1, "==")],
    )
    memory = Memory()
    print_results(
        "memory depends on the block, not on the volume: 512^3 over 256^3",
        [Result("peak memory of a worker, ratio", memory.track_memory_ratio(), 1.10, "<=")],
    )
    print(f"\n{time.perf_counter() - start:.0f} s in total")


if __name__ == "__main__":
    main()
