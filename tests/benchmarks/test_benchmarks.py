"""Every benchmark runs, small: its figures are numbers, and bars are judged the right way round."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from benchmarks import bench_detect, bench_measure, bench_pipeline, bench_stitch, bench_storage, stitch_peers
from benchmarks.disturbances import DISTURBANCES
from benchmarks.report import Figure, print_figures
from tomostat.detect.checkpoint import file_hash, save_checkpoint
from tomostat.detect.detectors.watershed import WatershedDetector
from tomostat.detect.kernels.maskrcnn import NetworkConfig, build
from tomostat.detect.options import DetectOptions
from tomostat.detect.predict import NetworkDetector
from tomostat.detect.kernels.random_slices import random_slice
from tomostat.instances import Instances
from tomostat.kernels.score import score_labels

WATERSHED = DetectOptions(detector="watershed", slices=8)


def balls(count: int = 6, shape: tuple[int, int, int] = (24, 64, 64)) -> np.ndarray:
    """Balls that do not touch, as labels."""
    labels = np.zeros(shape, np.int32)
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    for k in range(count):
        row, column = divmod(k, 3)
        labels[(z - 12) ** 2 + (y - 16 - 30 * row) ** 2 + (x - 11 - 21 * column) ** 2 < 81] = k + 1
    return labels


@pytest.mark.parametrize(
    ("got", "asked", "comparison", "holds"),
    [(2, 1, ">=", True), (2, 1, "<=", False), (1, 1, "==", True), (1, None, ">=", None)],
)
def test_a_figure_tells_whether_its_bar_is_met(got, asked, comparison, holds, capsys):
    figure = Figure("what", got, asked, comparison, "s")
    assert figure.holds is holds
    print_figures("title", [figure])
    assert {True: "met", False: "SHORT", None: "what"}[holds] in capsys.readouterr().out


def test_the_whole_house():
    whole = bench_pipeline.EndToEnd()
    whole.options, whole.detect = bench_pipeline.SMALL, WATERSHED
    whole.setup()
    assert 0 < whole.track_f1() <= 1
    assert 0 < whole.track_pq() <= 1
    assert whole.track_count_error() >= 0
    assert whole.track_voxels_per_second() > 0
    assert math.isfinite(whole.track_detachment_error())
    assert max(whole.peaks.values()) > 2**20


def test_chunking():
    chunking = bench_pipeline.Chunking()
    chunking.options, chunking.detect, chunking.cases = bench_pipeline.SMALL, WATERSHED, ((8, 1), (32, 1))
    assert chunking.track_distinct_results() == 1


def test_stitching():
    truth = balls()
    assert score_labels(truth, bench_stitch.ours(bench_stitch.numbered_anew(truth))).f1 == 1
    worse = bench_stitch.numbered_anew(bench_stitch.disturb(truth, 3))
    assert 0 < (worse > 0).sum() < (truth > 0).sum()
    assert bench_stitch.merged(truth, np.minimum(truth, 1).astype(np.uint32)) == 6
    assert all(figure.got > 0 for figure in bench_stitch.scale(((8, 3),)))


def test_every_plain_peer_finds_what_is_undisturbed():
    truth = balls()
    for work in (stitch_peers.hungarian, stitch_peers.union_find):
        assert score_labels(truth, work(bench_stitch.numbered_anew(truth))).f1 == 1


def test_a_peer_alone_in_its_process_gives_the_same():
    stack = bench_stitch.numbered_anew(balls())
    outcome = stitch_peers.alone(stitch_peers.hungarian, stack)
    np.testing.assert_array_equal(outcome.labels, stitch_peers.hungarian(stack))
    assert outcome.seconds > 0


def test_measuring():
    figures = [
        *bench_measure.sums_figures(64),
        *bench_measure.charge_figures(),
        *bench_measure.path_figures((20,), 1),
        *bench_measure.solid_figures((12,)),
    ]
    assert all(math.isfinite(figure.got) for figure in figures)


def test_storage():
    layouts = bench_storage.Layouts()
    layouts.setup("gzip 5")
    try:
        layouts.time_write("gzip 5")
        layouts.time_boxes("gzip 5")
        assert 0 < layouts.track_ratio("gzip 5") < 1
    finally:
        layouts.teardown("gzip 5")


def test_detection(capsys):
    cases = bench_detect.flat_phantoms(1)
    found = bench_detect.detect(cases, WatershedDetector())
    scores = bench_detect.judge(cases, found)
    assert bench_detect.precision_at(cases, found, 0.0) >= scores.precision
    assert 0 <= scores.f1 <= 1
    assert "watershed" in bench_detect.line("watershed", scores)
    ours, theirs = bench_detect.pasting_seconds(128, 4)
    assert min(ours, theirs) > 0


def test_recall_by_contrast():
    """Three particles that stand out by 2.5, 4 and 40 times the noise; the first is missed, the last one halved."""
    rng = np.random.default_rng(0)
    labels = np.zeros((60, 150), np.int32)
    grey = rng.normal(0, 1, labels.shape).astype(np.float32)
    for i, stands_out in enumerate((2.5, 4.0, 40.0)):
        box = np.s_[15:45, 10 + 50 * i : 40 + 50 * i]
        labels[box] = i + 1
        grey[box] += stands_out
    assert bench_detect.contrast_to_noise(grey, labels) == pytest.approx([2.5, 4, 40], rel=0.1)
    found = np.where(labels > 1, labels, 0)
    found[:31][labels[:31] == 3] = 0
    case = bench_detect.Case(grey[None], np.zeros((1, *labels.shape), np.uint8), Instances.from_labels(labels, 0))
    figures = bench_detect.recall_by_contrast([case], [Instances.from_labels(found, 0)], 0.0)
    assert [f.what.split()[2] for f in figures] == ["0", "0", "1", "1", "1"]
    assert [f.got for f in figures[2:]] == [0, 1, 0]


def test_figures_of_disturbed_slices(capsys, monkeypatch, tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, build(NetworkConfig(channels=16, box_units=16)))
    grey, labels = random_slice(np.random.default_rng(0), (96, 80))
    case = bench_detect.Case(grey[None], np.zeros((1, 96, 80), np.uint8), Instances.from_labels(labels, 0))
    monkeypatch.setattr(bench_detect, "real_slices", lambda: {"one": case})
    bench_detect.disturbed(NetworkDetector(weights=str(path), fingerprint=file_hash(path)))
    told = capsys.readouterr().out
    assert all(name in told for name in DISTURBANCES)


@pytest.mark.parametrize("name", DISTURBANCES)
def test_disturbed_particles_stay_bright(name):
    """Grey values and truth move together."""
    rng = np.random.default_rng(0)
    labels = np.zeros((90, 70), np.int32)
    labels[10:40, 8:50], labels[55:80, 20:60] = 1, 2
    grey, moved = DISTURBANCES[name](rng, ((labels > 0).astype(np.float32), labels))
    assert grey.shape == moved.shape
    assert set(np.unique(moved)) == {0, 1, 2}
    assert grey[moved > 0].mean() > grey[moved == 0].mean() + 0.5
    assert np.mean((grey > 0.5) == (moved > 0)) > 0.9


def test_figures_of_a_gpu(capsys, monkeypatch, tmp_path):
    """The table runs through on a CPU, which stands in for the GPU."""
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, build(NetworkConfig(channels=16, box_units=16)))
    monkeypatch.setitem(bench_detect.NETWORKS, "resnet101", NetworkConfig(channels=16, box_units=16))
    cases = bench_detect.flat_phantoms(1)
    monkeypatch.setattr(bench_detect, "volume_phantoms", lambda: cases)
    network = NetworkDetector(weights=str(path), fingerprint=file_hash(path))
    bench_detect.gpu(network, device="cpu", sides=(64,), count=2)
    told = capsys.readouterr().out
    assert "ResNet-101, 64 x 64: slices per second" in told
    assert [line for line in told.splitlines() if "off full precision" in line and line.endswith("met")]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    bench_detect.gpu(network)
    assert "no GPU here" in capsys.readouterr().out
