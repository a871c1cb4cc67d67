"""Training: resuming, stopping, checkpoints, and the command."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from networks import SHORT, TINY, same_weights, squares
from tomostat.cli import main
from tomostat.detect import train as training
from tomostat.detect.checkpoint import load_checkpoint, save_checkpoint
from tomostat.detect.crops import Crops
from tomostat.detect.kernels.maskrcnn import build
from tomostat.detect.train import train


def test_resumed_run_gives_the_same_weights(tmp_path):
    train(build(TINY), squares, tmp_path / "whole", options=SHORT)
    calls = []

    def killed(done, steps):
        calls.append(done)
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(build(TINY), squares, tmp_path / "parts", options=SHORT, progress=killed)
    assert calls == [1, 2, 3]
    train(build(TINY), squares, tmp_path / "parts", options=SHORT)
    assert same_weights(tmp_path / "whole" / "last.safetensors", tmp_path / "parts" / "last.safetensors")
    assert load_checkpoint(tmp_path / "parts" / "last.safetensors").training.step == 4


def test_options_are_in_the_checkpoint_and_losses_in_the_log(tmp_path):
    path = train(build(TINY), squares, tmp_path, options=SHORT)
    assert load_checkpoint(path).training.options["crop"] == 64
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert float(rows[0]["loss"]) > 0
    assert "loss_mask" in rows[0]


def test_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    good = training._step

    def bad(network, optimizer, images, *rest):
        return good(network, optimizer, images * (np.nan if rest[1] == 3 else 1), *rest)

    monkeypatch.setattr(training, "_step", bad)
    with pytest.raises(FloatingPointError, match="loss is nan at step 3; the last good checkpoint is kept"):
        train(build(TINY), squares, tmp_path, options=SHORT)
    last = load_checkpoint(tmp_path / "last.safetensors")
    assert last.training.step == 2
    assert all(torch.isfinite(value).all() for value in last.network.state_dict().values())


@pytest.mark.slow
def test_best_checkpoint_is_kept(tmp_path):
    scores = iter([0.2, 0.7, 0.4])  # before the first step, then every second one
    best = train(build(TINY), squares, tmp_path, options=SHORT, validate=lambda network: next(scores))
    assert load_checkpoint(best).training.validation == 0.7
    assert load_checkpoint(best).training.step == 2
    longer = replace(SHORT, steps=6)  # resumed: 0.7 is still the best
    best = train(build(TINY), squares, tmp_path, options=longer, validate=lambda network: 0.5)
    assert load_checkpoint(best).training.validation == 0.7


@pytest.mark.slow
def test_training_that_scores_lower_keeps_the_initial_weights(tmp_path):
    scores = iter([0.9, 0.7, 0.4])
    start = build(TINY)
    expected = {name: value.clone() for name, value in start.state_dict().items()}
    best = load_checkpoint(train(start, squares, tmp_path, options=SHORT, validate=lambda network: next(scores)))
    assert (best.training.step, best.training.validation) == (0, 0.9)
    assert all(torch.equal(value, expected[name]) for name, value in best.network.state_dict().items())


@pytest.mark.slow
def test_loss_falls(tmp_path):
    options = replace(SHORT, steps=25, rate=1e-3, checkpoint_every=25)
    seen = []
    step = training._step
    fixed = next(iter(Crops(squares, SHORT)))
    network = build(TINY).train()
    optimizer = training._optimizer(network, options)
    for i in range(25):
        seen.append(step(network, optimizer, *fixed, i, options)["loss"])
    assert np.mean(seen[-5:]) < 0.6 * np.mean(seen[:3])


def test_gradient_that_is_not_finite_stops_before_the_weights_are_spoilt():
    network = build(TINY).train()
    optimizer = training._optimizer(network, SHORT)
    network.rpn.head.cls_logits.bias.register_hook(lambda gradient: gradient * np.inf)
    images, targets = next(iter(Crops(squares, SHORT)))
    with pytest.raises(FloatingPointError, match=r"norm of the gradient is (nan|inf) at step 0"):
        training._step(network, optimizer, images, targets, 0, SHORT)
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())


def train_by_command(folder, *more):
    """Train a tiny network on an annotated image at the command line; its exit status."""
    grey, labels = squares(np.random.default_rng(0))
    tifffile.imwrite(folder / "one.tif", grey)
    tifffile.imwrite(folder / "one_instances.tif", labels)
    save_checkpoint(folder / "start.safetensors", build(TINY))
    flags = {"--weights": folder / "start.safetensors", "--steps": 4, "--crop": 64, "--checkpoint-every": 2}
    flags |= {"--out": folder / "out", "--batch": 1, "--threads": 1, "--workers": 0}
    return main(["train", str(folder / "one_instances.tif"), *(str(v) for pair in flags.items() for v in pair), *more])


def test_command_writes_checkpoint_log_and_curves(tmp_path, capsys):
    assert train_by_command(tmp_path, "--validation", str(tmp_path / "one_instances.tif")) == 0
    out = tmp_path / "out"
    assert f"checkpoint: {out / 'best.safetensors'}" in capsys.readouterr().out
    with Image.open(out / "curves.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 20  # lines and labels, not an empty page
    validated = list(csv.DictReader((out / "validation.csv").read_text().splitlines()))
    known = [(int(row["step"]), float(row["share"])) for row in validated]
    assert known == [(0, 1), (2, 1), (4, 1), (4, 0.25), (4, 0.5), (4, 0.75)]  # checkpoints, and means with the start


def test_loss_that_is_not_finite_is_one_line(tmp_path, monkeypatch, capsys):
    def bad(network, optimizer, images, targets, step, options):
        raise FloatingPointError(f"loss is nan at step {step}")

    monkeypatch.setattr(training, "_step", bad)
    assert train_by_command(tmp_path) == 2
    assert "tomostat: loss is nan at step 0" in capsys.readouterr().err
