"""Fine-tuning: validation, means of weights, resuming."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from networks import SHORT, TINY, fine_tune_tiny, same_weights, slices_of_squares, squares
from tomostat.detect import fine_tuning, predict
from tomostat.detect.checkpoint import load_checkpoint, save_checkpoint
from tomostat.detect.crops import IGNORED, targets_of
from tomostat.detect.fine_tuning import fine_tune, mean_average_precision
from tomostat.detect.kernels.maskrcnn import build
from tomostat.detect.predict import Detections


@pytest.mark.slow
def test_fine_tuning_starts_from_a_checkpoint_and_keeps_the_best(tmp_path):
    start = build(TINY, seed=1)
    save_checkpoint(tmp_path / "start.safetensors", start)
    crops = slices_of_squares(2)
    path = fine_tune(
        crops, tmp_path / "out", weights=str(tmp_path / "start.safetensors"), options=SHORT, validation=crops[:1]
    )
    best = load_checkpoint(path)
    assert best.network.config == TINY
    assert 0 <= best.training.validation <= 1
    last = load_checkpoint(tmp_path / "out" / "last.safetensors").network
    moved = [not torch.equal(a, b) for a, b in zip(start.parameters(), last.parameters(), strict=True)]
    assert all(moved)


@pytest.mark.slow
def test_mean_with_the_initial_weights_is_kept_where_it_is_best(tmp_path, monkeypatch):
    start = tmp_path / "start.safetensors"
    save_checkpoint(start, build(TINY, seed=1))
    crops = slices_of_squares(2)
    scores = iter([0.5, 0.6, 0.6, 0.6, 0.9, 0.7])  # the start, two checkpoints, means with 1/4, 2/4 and 3/4 of the last
    monkeypatch.setattr(fine_tuning, "mean_average_precision", lambda network, slices: next(scores))
    best = fine_tune(crops, tmp_path / "out", weights=str(start), options=SHORT, validation=crops[:1])
    got = load_checkpoint(best)
    assert (got.training.validation, got.training.share, got.training.step) == (0.9, 0.5, 4)
    ends = [load_checkpoint(path).network.state_dict() for path in (start, tmp_path / "out" / "last.safetensors")]
    for name, value in got.network.state_dict().items():
        assert torch.allclose(value, (ends[0][name] + ends[1][name]) / 2, atol=1e-6)


def test_the_last_quarter_validates_when_no_slices_are_given_for_it(tmp_path, monkeypatch):
    """Slices without a particle are not used for validation."""
    crops = slices_of_squares(9)
    crops[1] = (crops[1][0], np.zeros_like(crops[1][1]))
    seen = {}

    def listen(network, source, folder, *, options, data, validate, progress):
        seen["validation"] = validate.keywords["slices"] if validate else None
        return folder

    monkeypatch.setattr(fine_tuning, "train", listen)
    monkeypatch.setattr(fine_tuning, "_validate_means", lambda *given: None)
    monkeypatch.setattr(fine_tuning, "FixedSlices", lambda slices: seen.update(training=slices))

    def numbers(found):
        return [i for one in found for i, crop in enumerate(crops) if crop is one]

    fine_tune(crops, tmp_path, weights="random", options=SHORT)
    assert numbers(seen["validation"]) == [7, 8]
    assert numbers(seen["training"]) == [0, 1, 2, 3, 4, 5, 6]
    fine_tune(crops[:4], tmp_path, weights="random", options=SHORT)
    assert seen["validation"] is None
    fine_tune(crops, tmp_path, weights="random", options=SHORT, validation=crops[:1])
    assert numbers(seen["validation"]) == [0]
    assert len(seen["training"]) == 9


def test_mean_average_precision_of_a_perfect_and_a_blind_network(monkeypatch):
    crops = slices_of_squares(2)
    network = build(TINY)

    def perfect(network, images, batch, device):
        labels = crops[seen.pop()][1]
        boxes = targets_of(labels)["boxes"].numpy()
        n = len(boxes)
        yield Detections(boxes, np.ones(n, np.float32), np.ones((n, 28, 28), np.float32))

    seen = [1, 0]
    monkeypatch.setattr(predict, "detect_tiles", perfect)
    assert mean_average_precision(network, crops) == pytest.approx(1)
    partly = [(grey, np.where(labels == 1, IGNORED, labels)) for grey, labels in crops]
    seen = [1, 0]
    assert mean_average_precision(network, partly) == pytest.approx(1)  # the fourth object found lies in ignored places

    def blind(network, images, batch, device):
        yield Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 28, 28), np.float32))

    monkeypatch.setattr(predict, "detect_tiles", blind)
    assert mean_average_precision(network, crops) == 0


@pytest.mark.slow
def test_fine_tuning_resumes_to_the_same_weights(tmp_path):
    crops = slices_of_squares(2)
    (tmp_path / "whole").mkdir()
    expected = fine_tune_tiny(tmp_path / "whole", crops)

    def killed(done, steps):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune_tiny(tmp_path, crops, progress=killed)
    assert same_weights(fine_tune_tiny(tmp_path, crops), expected)
    assert same_weights(fine_tune_tiny(tmp_path, crops), expected)  # once more, finished


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """Folder of a training with three slices."""
    folder = tmp_path_factory.mktemp("training")
    fine_tune_tiny(folder, slices_of_squares(3))
    return folder


@pytest.mark.parametrize("what", ["weights", "slices", "validation", "rate"])
def test_a_folder_of_another_training_is_not_resumed(training, what):
    slices = slices_of_squares(3)
    changes = {
        "weights": {"seed": 2},
        "slices": {"slices": slices[:2]},
        "validation": {"validation": slices[1:2]},
        "rate": {"options": replace(SHORT, rate=1e-3)},
    }[what]
    kept = (training / "out" / "last.safetensors").read_bytes()
    with pytest.raises(ValueError, match="holds a training with other initial weights"):
        fine_tune_tiny(training, **{"slices": slices, **changes})
    assert (training / "out" / "last.safetensors").read_bytes() == kept


def test_validation_without_a_particle_is_refused(tmp_path):
    crop = squares(np.random.default_rng(0))
    with pytest.raises(ValueError, match="validation: none of the 1 slices contains a particle"):
        fine_tune_tiny(tmp_path, [crop], validation=[(crop[0], np.zeros_like(crop[1]))])


def test_missing_gpu_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="torch finds no GPU"):
        fine_tune_tiny(tmp_path, [squares(np.random.default_rng(0))], options=replace(SHORT, device="cuda"))
    assert not (tmp_path / "out").exists()
