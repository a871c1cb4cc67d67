"""All stages on a small electrode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from distributed import Client

import tomostat as ts
from benchmarks import bench_pipeline
from tomostat.detect.options import DetectOptions

WATERSHED = DetectOptions(detector="watershed", slices=8)


@contextmanager
def threads(workers: int) -> Iterator[Client]:
    """Workers in threads of this process, which start at once."""
    with Client(n_workers=workers, threads_per_worker=1, processes=False, dashboard_address=None) as client:
        yield client


@pytest.fixture(autouse=True)
def _workers_in_threads(monkeypatch):
    monkeypatch.setattr(bench_pipeline, "open_client", threads)


def test_all_stages_but_the_report():
    whole = bench_pipeline.EndToEnd()
    whole.options, whole.detect, whole.last = bench_pipeline.SMALL, WATERSHED, "analyze"
    whole.setup()
    assert list(whole.peaks) == ["ingest", "phases", "detect", "stitch", "measure", "analyze"]
    assert set(whole.peaks) <= set(whole.seconds)
    assert min(whole.seconds.values()) > 0
    images = (whole.volume, "truth_particles"), (whole.layout.volume("electrode"), "particles")
    assert min(whole.peaks.values()) > 50 * 2**20
    assert 0.7 < whole.track_f1() < 1
    assert 0.6 < whole.track_pq() < whole.track_f1()
    true, found = (int(np.unique(ts.open_volume(*image).values).size) - 1 for image in images)
    assert whole.track_count_error() == pytest.approx(1 - found / true)
    assert whole.track_voxels_per_second() > 1000
    assert whole.track_detachment_error() < 0.2
    assert whole.track_detachment_correlation() > 0.5


def test_chunking():
    chunking = bench_pipeline.Chunking()
    chunking.options, chunking.detect = replace(bench_pipeline.SMALL, shape=(32, 64, 64)), WATERSHED
    chunking.cases = ((8, 1), (32, 2))
    assert chunking.track_distinct_results() == 1
