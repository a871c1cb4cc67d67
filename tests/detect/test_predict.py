"""The network as a detector: tiles, batches, thresholds."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from networks import detector, equal
from tomostat.detect.checkpoint import load_checkpoint
from tomostat.detect.predict import choose_device, detect_tiles, half_precision
from tomostat.instances import Instances


def test_missing_gpu_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="torch finds no GPU"):
        choose_device("cuda")
    assert choose_device("auto") == "cpu"


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx512_bf16": True}, torch.bfloat16), ({"amx_bf16": True}, torch.bfloat16), ({"avx512_bf16": False}, None)],
)
def test_half_precision_where_the_machine_computes_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert half_precision("cpu") == expected
    assert half_precision("cuda") == torch.float16


def test_older_torch_does_not_know_of_half_precision(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert half_precision("cpu") is None


def test_slices_do_not_depend_on_their_block(weights):
    rng = np.random.default_rng(0)
    grey = rng.random((3, 96, 80), np.float32)
    phases = np.zeros(grey.shape, np.uint8)
    run = detector(weights)
    whole = run(grey, phases, 5)
    parts = Instances.concatenate([run(grey[i : i + 1], phases[i : i + 1], 5 + i) for i in range(3)])
    assert len(whole) > 20
    assert set(whole.slice) == {5, 6, 7}
    assert equal(whole, parts)


def test_finishing_slices_while_a_gpu_goes_on_changes_nothing(weights, monkeypatch):
    """The same numbers in the same order, whichever thread ends first."""
    grey = np.random.default_rng(0).random((5, 96, 150), np.float32)
    network = load_checkpoint(weights).network.eval()
    run = replace(detector(weights), tile=96, overlap=32)
    expected = run.find(network, grey, 3)
    to = torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *a, **k: self if a == ("cuda",) else to(self, *a, **k))
    monkeypatch.setattr("tomostat.detect.predict._cores", lambda: 3)
    found = replace(run, device="cuda", batch=1).find(network, grey, 3)
    assert len(found) > 20
    assert equal(found, expected)


@pytest.mark.slow
def test_tiles_are_normalised_by_their_slice(weights):
    """A change in the middle of a slice is felt by the tile in its corner, which does not show the middle."""
    grey = np.random.default_rng(0).random((1, 300, 300), np.float32)
    other = grey.copy()
    other[:, 110:190, 110:190] = 0.9

    def in_corner(image):
        found = detector(weights)(image, image, 0)
        return found.score[(found.box[:, 2:] < 60).all(axis=1)]

    assert len(in_corner(grey)) > 3
    assert not np.array_equal(in_corner(grey), in_corner(other))
    alone, changed = (detector(weights)(image[:, :96, :96], image[:, :96, :96], 0) for image in (grey, other))
    assert equal(alone, changed)


def test_tiny_slices_are_padded_not_refused(weights):
    found = detector(weights)(
        np.random.default_rng(1).random((1, 20, 30), np.float32), np.zeros((1, 20, 30), np.uint8), 0
    )
    assert found.shape == (20, 30)


def test_score_threshold(weights):
    grey = np.random.default_rng(0).random((1, 96, 96), np.float32)
    found = detector(weights)(grey, grey, 0)
    middle = float(np.median(found.score))
    assert detector(weights, score=middle)(grey, grey, 0).score.min() >= middle


NUMBERS_OF_BOXES = """
import tomostat.detect
import psutil, torch

def memory(last):
    with torch.inference_mode():
        for count in range(last - 300, last):
            convolution(torch.zeros(count, 16, 14, 14, dtype=torch.bfloat16))
            linear(torch.zeros(count, 16, dtype=torch.bfloat16))
    return psutil.Process().memory_info().rss

torch.set_num_threads(1)
convolution = torch.nn.Conv2d(16, 16, 3, padding=1).to(torch.bfloat16)
linear = torch.nn.Linear(16, 16).to(torch.bfloat16)
first = memory(301)
print((memory(601) - first) // 2**20)
"""


@pytest.mark.skipif(not Path("/proc").exists(), reason="elsewhere another library may compute")
def test_what_is_prepared_for_a_number_of_boxes_is_not_kept_for_good():
    """With torch's own setting 300 more numbers take more than 100 MiB in half precision."""
    done = subprocess.run([sys.executable, "-c", NUMBERS_OF_BOXES], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 40


class Hungry(torch.nn.Module):
    """Stands in for a network on a GPU whose memory holds two tiles."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, images):
        self.seen.append(len(images))
        if len(images) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        count = [int(image.sum()) for image in images]
        return [
            {"boxes": torch.full((n, 4), n), "scores": torch.ones(n), "masks": torch.ones(n, 1, 28, 28)} for n in count
        ]


def test_batch_is_halved_when_gpu_memory_runs_out(monkeypatch, caplog):
    network = Hungry()
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *_: self)
    images = iter([torch.full((1, 1, 1), float(i)) for i in range(9)])
    found = list(detect_tiles(network, images, 8, "cuda"))
    assert [len(f.boxes) for f in found] == list(range(9))
    assert network.seen[:3] == [8, 4, 2]
    assert "batches of 4" in caplog.text
    monkeypatch.setattr(Hungry, "forward", lambda self, images: (_ for _ in ()).throw(torch.OutOfMemoryError("full")))
    with pytest.raises(torch.OutOfMemoryError):
        list(detect_tiles(network, iter([torch.ones(1, 1, 1)]), 8, "cuda"))
