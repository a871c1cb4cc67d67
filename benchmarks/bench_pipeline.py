"""The whole house on phantoms: accuracy, seconds per stage, voxels per second, peak memory, same bits for any chunking.

``python -m benchmarks.bench_pipeline`` prints each figure beside what was asked. The classes are asv-style: ``track_``
methods give one number each, and `SMALL` makes them a smoke test.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
import time
from functools import lru_cache
from pathlib import Path

import numpy as np

import tomostat as ts
from benchmarks.report import Figure, forget_peak, peak_memory, print_figures
from tomostat import pipeline
from tomostat.cluster import open_client
from tomostat.detect.options import DetectOptions
from tomostat.execution import Execution
from tomostat.kernels.score import Scores, score_labels
from tomostat.manifest import Layout, Manifest
from tomostat.options import StageOptions
from tomostat.phantom.options import PhantomOptions
from tomostat.study import study_of_volume

HELD_ASIDE = PhantomOptions(shape=(160, 384, 384), seed=777_001)
"""A seed that no weights were trained and no threshold was chosen on."""
SMALL = PhantomOptions(shape=(40, 112, 112), seed=777_002, diameters=(3.0, 5.0))

FOLDERS: list[tempfile.TemporaryDirectory[str]] = []
"""Kept until the process ends."""


def new_folder() -> Path:
    """An empty folder that goes when the process does."""
    FOLDERS.append(tempfile.TemporaryDirectory(prefix="tomostat-bench-"))
    return Path(FOLDERS[-1].name)


@lru_cache(maxsize=4)
def electrode(options: PhantomOptions) -> Path:
    """A simulated volume, made once."""
    return ts.simulate_volume(new_folder() / "electrode.zarr", options)


def run(volume: Path, workers: int = 2, **options: StageOptions) -> tuple[Layout, dict[str, float], dict[str, int]]:
    """Run all stages on one volume.

    Returns
    -------
    Layout, dict, dict
        The output, seconds by stage, and by stage the peak memory in bytes of the worker that took most.
    """
    folder = new_folder() / "results"
    study = study_of_volume(volume, folder).with_options(**options)
    peaks = {}
    with open_client(workers=workers) as client:
        for stage in pipeline.STAGES:
            layout = pipeline.run(study, stages=[stage], execution=Execution(client=client))
            peaks[stage] = max(client.run(peak_memory).values())
            client.run(forget_peak)
    return layout, Manifest(layout, study.study).seconds(), peaks


def scores_3d(layout: Layout, volume: Path) -> Scores:
    """Particles found against the phantom's truth."""
    truth = ts.open_volume(volume, "truth_particles").values
    found = ts.open_volume(layout.volume("electrode"), "particles").values
    return score_labels(truth, found)


def science(layout: Layout) -> str:
    """Hash of the label volume and the table."""
    labels = ts.open_volume(layout.volume("electrode"), "particles").values
    return hashlib.sha256(labels.tobytes() + layout.particles.with_suffix(".csv").read_bytes()).hexdigest()


class EndToEnd:
    """Accuracy and speed on one electrode."""

    options = HELD_ASIDE
    detect = DetectOptions()

    def setup(self) -> None:
        """Run once; the trackers read from it."""
        self.volume = electrode(self.options)
        self.layout, self.seconds, self.peaks = run(self.volume, detect=self.detect)
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
        from tomostat.kernels.matching import overlaps_of_labels
        from tomostat.phantom import make_scene, truth_table

        truth = ts.open_volume(self.volume, "truth_particles").values
        found = ts.open_volume(self.layout.volume("electrode"), "particles").values
        table = overlaps_of_labels(truth, found)
        pairs = np.flatnonzero(table.iou >= 0.5)
        columns = ["label", "touches_border", "detachment"]
        rows = ts.open_particles(self.layout.particles)[columns].to_dataframe().set_index("label")
        known = truth_table(make_scene(self.options)).set_index("label")
        true_label, found_label = table.first_label[table.first[pairs]], table.second_label[table.second[pairs]]
        rows, known = rows.loc[found_label], known.loc[true_label]
        inside = ~rows["touches_border"].to_numpy(bool) & np.isfinite(rows["detachment"].to_numpy(float))
        return rows["detachment"].to_numpy(float)[inside], known["detachment"].to_numpy(float)[inside]


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
            options = dataclasses.replace(HELD_ASIDE, shape=shape)
            detect = dataclasses.replace(self.detect, slices=slices)
            by_stage = run(electrode(options), workers=1, detect=detect)[2]
            peaks.append(max(by_stage.values()))
            told = ", ".join(f"{stage} {peak / 2**30:.2f}" for stage, peak in by_stage.items())
            print(f"{' x '.join(map(str, shape))}: {peaks[-1] / 2**30:.2f} GiB ({told})", flush=True)
        return peaks[1] / peaks[0]


class Chunking:
    """The same labels and tables for any block of slices and any number of workers."""

    options = dataclasses.replace(HELD_ASIDE, shape=(96, 288, 288))
    detect = DetectOptions()
    cases = ((8, 1), (32, 2), (96, 2))

    def track_distinct_results(self) -> int:
        """Number of different results; 1 is right."""
        volume = electrode(self.options)
        found = set()
        for slices, workers in self.cases:
            detect = dataclasses.replace(self.detect, slices=slices)
            found.add(science(run(volume, workers=workers, detect=detect)[0]))
        return len(found)


def main() -> None:
    """Print all figures."""
    start = time.perf_counter()
    whole = EndToEnd()
    whole.setup()
    print_figures(
        f"held-aside electrode, {' x '.join(map(str, HELD_ASIDE.shape))}, shipped network",
        [
            Figure("3D F1 at IoU 0.5", whole.track_f1(), 0.90),
            Figure("3D panoptic quality", whole.track_pq(), 0.75),
            Figure("particle count, relative error", whole.track_count_error(), 0.05, "<="),
            Figure("detachment, mean absolute error", whole.track_detachment_error(), 0.03, "<="),
            Figure("detachment, correlation with the truth", whole.track_detachment_correlation(), 0.95),
            *(Figure(f"{stage}", seconds, unit="s") for stage, seconds in whole.seconds.items()),
            Figure("all stages", whole.track_voxels_per_second() / 1e6, unit="Mvoxel/s"),
            Figure("peak memory of a worker", max(whole.peaks.values()) / 2**30, unit="GiB"),
        ],
    )
    chunking = Chunking()
    print_figures(
        "same instance tables, labels and rows for blocks of slices and workers " + str(Chunking.cases),
        [Figure("different results", chunking.track_distinct_results(), 1, "==")],
    )
    memory = Memory()
    print_figures(
        "memory depends on the block, not on the volume: 512^3 over 256^3",
        [Figure("peak memory of a worker, ratio", memory.track_memory_ratio(), 1.15, "<=")],
    )
    print(f"\n{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
