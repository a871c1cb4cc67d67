"""Checkpoints: what is written and read, and files that are refused."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from networks import TINY
from tomostat.detect import checkpoint
from tomostat.detect.checkpoint import Header, TrainingRecord, file_hash, load_checkpoint, read_header, save_checkpoint
from tomostat.detect.detector import make_detector
from tomostat.detect.kernels.maskrcnn import MaskRCNN, build
from tomostat.detect.options import DetectOptions


def test_network_and_training_are_read_as_written(tmp_path):
    network = build(TINY, seed=5)
    training = TrainingRecord(
        step=3, options={"rate": 0.1}, share=0.25, validation=0.5, history={"further": {"step": 200}}
    )
    save_checkpoint(tmp_path / "a.safetensors", network, training=training)
    again = load_checkpoint(tmp_path / "a.safetensors")
    assert again.network.config == TINY
    assert again.training == training
    assert read_header(tmp_path / "a.safetensors") == Header(config=TINY, training=training)
    states = network.state_dict().values(), again.network.state_dict().values()
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))
    save_checkpoint(tmp_path / "half.safetensors", network, half=True)
    ratio = (tmp_path / "half.safetensors").stat().st_size / (tmp_path / "a.safetensors").stat().st_size
    assert ratio == pytest.approx(0.5, abs=0.01)
    assert load_checkpoint(tmp_path / "half.safetensors").training == TrainingRecord()


def test_files_that_are_not_weights_are_refused(tmp_path, weights):
    text = tmp_path / "weights.safetensors"
    text.write_text("not a network")
    with pytest.raises(ValueError, match="is not a weights file"):
        load_checkpoint(text)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ValueError, match="is damaged"):
        load_checkpoint(cut)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(2)}, foreign)
    with pytest.raises(ValueError, match="holds no tomostat network"):
        load_checkpoint(foreign)
    pickled = tmp_path / "pickle.pt"
    torch.save({"a": torch.zeros(2)}, pickled)
    with pytest.raises(ValueError, match="is not a weights file"):
        load_checkpoint(pickled)
    with pytest.raises(FileNotFoundError, match="no weights file"):
        load_checkpoint(tmp_path / "absent.safetensors")


def test_another_architecture_is_refused(tmp_path, weights):
    config = json.loads('{"backbone": "resnet50"}')
    record = {"format": checkpoint.FORMAT, "config": json.dumps(config | {"anchors": TINY.anchors, "ratios": [1.0]})}
    path = tmp_path / "other.safetensors"
    save_file(load_file(weights), path, record)
    with pytest.raises(ValueError, match="does not fit the architecture"):
        load_checkpoint(path)


def test_damaged_shipped_weights_are_refused(tmp_path, monkeypatch, weights):
    monkeypatch.setattr(checkpoint, "FOLDER", tmp_path)
    path = shutil.copy(weights, tmp_path / "fast.safetensors")
    with pytest.raises(ValueError, match="damaged"):
        make_detector(DetectOptions(weights="fast"))
    monkeypatch.setitem(checkpoint.SHIPPED, "fast", file_hash(path))
    assert make_detector(DetectOptions(weights="fast")).weights == str(path)


def test_a_checkpoint_has_the_rights_of_any_new_file(tmp_path):
    old = os.umask(0o027)
    try:
        save_checkpoint(tmp_path / "a.safetensors", build(TINY, seed=0))
    finally:
        os.umask(old)
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == 0o640


def test_weights_that_do_not_fit_take_no_memory(tmp_path, weights, monkeypatch):
    """The shapes in the header are compared first: no tensor is read, no network is built."""
    tensors = load_file(weights)
    tensors[next(iter(tensors))] = torch.zeros(7)
    record = {"format": checkpoint.FORMAT, "config": json.dumps(dataclasses.asdict(TINY))}
    save_file(tensors, tmp_path / "other.safetensors", record)
    monkeypatch.setattr(MaskRCNN, "load_state_dict", lambda *_: pytest.fail("weights were read"))
    with pytest.raises(ValueError, match=r"other.safetensors does not fit .* shape \[7\], the architecture needs"):
        load_checkpoint(tmp_path / "other.safetensors")
