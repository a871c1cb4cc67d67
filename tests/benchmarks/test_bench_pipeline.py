"""All stages on a small electrode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from distributed import Client

import tomostat as ts
from benchmarks import bench_pipeline
from studies import WATERSHED
from tomostat.kernels.matching import overlaps_of_labels
from tomostat.layout import Layout
from tomostat.volume import create_volume, write_box


@contextmanager
def threads(workers: int) -> Iterator[Client]:
    """Workers in threads of this process, which start at once."""
    with Client(n_workers=workers, threads_per_worker=1, processes=False, dashboard_address=None) as client:
        yield client


@pytest.fixture(autouse=True)
def _workers_in_threads(monkeypatch):
    monkeypatch.setattr(bench_pipeline, "open_cluster", threads)


@pytest.mark.slow
def test_all_stages_but_the_report():
    whole = bench_pipeline.EndToEnd()
    whole.options, whole.detect, whole.last = bench_pipeline.SMALL, WATERSHED, "analyze"
    whole.setup()
    assert list(whole.peaks) == ["ingest", "phases", "detect", "structure", "stitch", "measure", "analyze"]
    assert set(whole.peaks) <= set(whole.seconds)
    assert min(whole.seconds.values()) > 0
    assert min(whole.peaks.values()) > 50 * 2**20
    truth = ts.open_volume(whole.volume, "truth_particles").values
    found = ts.open_volume(whole.layout.volume("electrode"), "particles").values
    table = overlaps_of_labels(truth, found)
    matched = table.iou[table.iou > 0.5]
    true_count, found_count = (int(np.unique(labels).size) - 1 for labels in (truth, found))
    assert whole.track_f1() > 0.7
    assert whole.track_f1() == pytest.approx(2 * len(matched) / (true_count + found_count))
    assert whole.track_pq() == pytest.approx(2 * matched.sum() / (true_count + found_count))
    assert whole.track_count_error() == pytest.approx(abs(1 - found_count / true_count))
    assert whole.track_voxels_per_second() * sum(whole.seconds.values()) == pytest.approx(truth.size)
    assert whole.track_detachment_error() < 0.2
    assert whole.track_detachment_correlation() > 0.5


def output(folder: Path, label: int, row: str) -> Layout:
    """An output folder with a label image and a table."""
    layout = Layout(folder)
    create_volume(layout.volume("electrode"), shape=(4, 8, 8), dtype=np.uint8, spacing=(1.0, 1.0, 1.0))
    create_volume(
        layout.volume("electrode"), shape=(4, 8, 8), dtype=np.uint32, spacing=(1.0, 1.0, 1.0), label="particles"
    )
    write_box(layout.volume("electrode"), (0, 0, 0), np.full((4, 8, 8), label, np.uint32), "particles")
    layout.particles.with_suffix(".csv").write_text(f"label,volume\n{row}\n")
    return layout


def test_different_results_are_counted(tmp_path, monkeypatch):
    """Three runs of equal results, one with another table, one with other labels."""
    made = [(1, "1,5"), (1, "1,5"), (1, "1,6"), (2, "1,5"), (1, "1,5")]
    outputs = iter([output(tmp_path / str(i), label, row) for i, (label, row) in enumerate(made)])
    runs = []

    def run(volume, workers, last, detect):
        runs.append((detect.slices, workers))
        return next(outputs), {}, {}

    monkeypatch.setattr(bench_pipeline, "run", run)
    monkeypatch.setattr(bench_pipeline, "electrode", lambda options: tmp_path)
    chunking = bench_pipeline.Chunking()
    chunking.detect, chunking.cases = WATERSHED, ((8, 1), (32, 2))
    assert chunking.track_distinct_results() == 1
    chunking.cases = ((8, 1), (32, 2), (96, 2))
    assert chunking.track_distinct_results() == 3
    assert runs == [(8, 1), (32, 2), (8, 1), (32, 2), (96, 2)]
