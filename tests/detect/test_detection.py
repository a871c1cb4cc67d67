"""Network, checkpoints, detectors and the detect stage."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tomostat.detect import checkpoint
from tomostat.detect.checkpoint import file_hash, load_checkpoint, save_checkpoint
from tomostat.detect.detectors.watershed import WatershedDetector, fill_holes, solidity, split
from tomostat.detect.instances import detect_instances, detect_tasks, make_detector
from tomostat.detect.kernels import maskrcnn
from tomostat.detect.kernels.backbones import common_statistics
from tomostat.detect.kernels.maskrcnn import NetworkConfig, anchor_sizes, build
from tomostat.detect.options import DetectOptions
from tomostat.detect.predict import NetworkDetector, choose_device, detect_tiles
from tomostat.instances import Instances, read_instances, read_metadata
from tomostat.phase import Phase
from tomostat.volume import create_volume, store_tasks

TINY = NetworkConfig(channels=16, box_units=16, score=0.0, nms=0.9, detections=300, proposals=300)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A checkpoint with random weights, biased so that it detects something."""
    network = build(TINY, seed=3)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_checkpoint(path, network, metadata={"step": 7})
    return path


def detector(weights, **changes):
    given = {"score": 0.0, "tile": 96, "overlap": 32} | changes
    return NetworkDetector(weights=str(weights), digest=file_hash(weights), **given)


def equal(a: Instances, b: Instances) -> bool:
    return a.to_table().equals(b.to_table())


# the network


def test_same_seed_same_weights():
    a, b, c = (build(TINY, seed=s).state_dict()["rpn.head.cls_logits.weight"] for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_masks_stay_small_and_more_than_100_are_found(weights):
    network = load_checkpoint(weights)[0].eval()
    with torch.inference_mode():
        found = network(torch.rand(1, 1, 160, 160))[0]
    assert found["masks"].shape[1:] == (1, 28, 28)
    assert len(found["boxes"]) > 100


def test_scale_is_native():
    """Boxes come in the image's own pixels: none larger than the image, no rescaling to 800 pixels."""
    network = build(TINY, seed=3).eval()
    with torch.inference_mode():
        found = network(torch.rand(1, 1, 96, 128))[0]["boxes"]
    assert found[:, [0, 2]].max() <= 128
    assert found[:, [1, 3]].max() <= 96


def one_particle():
    """Training target: a particle at the top, the lower half ignored."""
    masks = torch.zeros(1, 64, 64, dtype=torch.uint8)
    masks[0, 10:30, 20:44] = 1
    ignored = torch.zeros(64, 64, dtype=torch.bool)
    ignored[32:] = True
    boxes, labels = torch.tensor([[20.0, 10, 44, 30]]), torch.ones(1, dtype=torch.int64)
    return {"boxes": boxes, "labels": labels, "masks": masks, "ignored": ignored}


def test_nothing_is_learnt_from_ignored_places():
    network, target = build(TINY), one_particle()
    rng = np.random.default_rng(0)
    low = rng.uniform(-4, 60, (300, 2))
    boxes = torch.from_numpy(np.hstack([low, low + rng.uniform(1, 40, (300, 2))])).float()
    corners = boxes.round().int().clamp(0, 64)
    ignored = torch.stack([target["ignored"][y0:y1, x0:x1].float().mean() > 0.5 for x0, y0, x1, y1 in corners])
    assert 50 < ignored.sum() < 250
    (labels,), _ = network.rpn.assign_targets_to_anchors([boxes], [target])
    assert (labels[ignored] == -1).all()
    assert (labels[~ignored] == 0).any()
    assert (labels == 1).any()
    sampled = network.heads.select_training_samples([boxes[ignored]], [target])[0][0]
    assert sampled.tolist() == target["boxes"].tolist()


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v3", "efficientnet_lite0"])
def test_other_backbones_give_losses(name):
    network = build(NetworkConfig(backbone=name, channels=16, box_units=16, slices=3, mask_convs=2)).train()
    losses = network(torch.rand(1, 3, 64, 64), [one_particle()])
    assert set(losses) >= {"loss_mask", "loss_box_reg", "loss_classifier", "loss_objectness", "loss_rpn_box_reg"}
    assert all(torch.isfinite(value) for value in losses.values())


def test_common_statistics_are_those_of_the_sample():
    """A layer by its definition; the sample's rim, a sixteenth, counts in no statistics; nothing remains afterwards."""
    layer = build(TINY).body.bn1
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    sample, image = torch.randn(3, 64, 32, 48) * 2 + 1, torch.randn(1, 64, 20, 20)
    with torch.inference_mode():
        alone = layer(image)
        with common_statistics():
            layer(sample)
            got = layer(image)
        assert torch.equal(layer(image), alone)
    groups = sample[:, :, 2:-2, 3:-3].double().reshape(3, layer.num_groups, -1)
    mean, variance = groups.mean((0, 2)), groups.var((0, 2), correction=0)
    each = 64 // layer.num_groups
    scale = layer.weight / torch.sqrt(variance + layer.eps).repeat_interleave(each)
    shift = layer.bias - mean.repeat_interleave(each) * scale
    torch.testing.assert_close(got.double(), image * scale[:, None, None] + shift[:, None, None], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(got, alone, atol=0.1)


@pytest.mark.parametrize("norm", ["group", "frozen"])
def test_tiles_of_a_slice_are_seen_alike(norm):
    """What a network makes of a place does not hang on what else a view shows, once it has seen the slice."""
    network = build(replace(TINY, norm=norm)).eval()
    image = torch.rand(1, 1, 128, 512)
    other = image.clone()
    other[..., 320:] = 0.1
    with torch.inference_mode():
        here, there = (network.features(view)["1"][..., :4] for view in (image, other))
        with network.seen_alike(image):
            alike = [network.features(view)["1"][..., :4] for view in (image, other)]
    torch.testing.assert_close(*alike, atol=2e-3, rtol=0)
    assert torch.allclose(here, there, atol=2e-3) == (norm == "frozen")


def test_activation_map_is_a_picture_of_the_slice(weights):
    network = load_checkpoint(weights)[0]
    image = torch.rand(1, 80, 96)
    seen = maskrcnn.activation_map(network, image)
    assert seen.shape == (80, 96)
    assert (seen.min(), seen.max()) == (0, 1)


def test_anchors_span_the_annotated_sizes():
    sizes = np.concatenate(anchor_sizes(np.linspace(10, 100, 500)))
    assert np.all(np.diff(sizes) > 0)
    assert sizes[0] == pytest.approx(11.8, abs=0.2)
    assert sizes[-1] == pytest.approx(98.2, abs=0.2)
    with pytest.raises(ValueError, match="at least one annotated particle"):
        anchor_sizes([])


def test_bad_config():
    with pytest.raises(ValueError, match="backbone is 'vgg'"):
        NetworkConfig(backbone="vgg")
    with pytest.raises(ValueError, match="slices is 2"):
        NetworkConfig(slices=2)


@pytest.mark.parametrize("shape", [(64, 64), (70, 100), (96, 61), (383, 200)])
def test_anchors_sit_on_their_pixels_for_any_size(shape):
    """A zero box regression leaves the anchors: their centres are whole strides in any slice size."""
    network = build(TINY).eval()
    seen = []
    network.rpn.anchor_generator.register_forward_hook(lambda module, given, anchors: seen.append(anchors[0]))
    with torch.inference_mode():
        network(torch.rand(1, 1, *shape))
    centres = (seen[0][:, :2] + seen[0][:, 2:]) / 2
    wide, finest = -(-shape[1] // 64) * 64, 4
    count = 2 * (wide // finest)
    assert torch.equal(centres[:count:2, 0], torch.arange(0, wide, finest).float())
    assert torch.equal(centres[: count * 2 : count, 1], torch.tensor([0.0, finest]))


# checkpoints


def test_checkpoint_comes_back(tmp_path):
    network = build(TINY, seed=5)
    save_checkpoint(tmp_path / "a.safetensors", network, metadata={"step": 3})
    again, about = load_checkpoint(tmp_path / "a.safetensors")
    assert again.config == TINY
    assert about == {"step": 3}
    assert all(
        torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.state_dict().values(), strict=True)
    )
    save_checkpoint(tmp_path / "half.safetensors", network, half=True)
    ratio = (tmp_path / "half.safetensors").stat().st_size / (tmp_path / "a.safetensors").stat().st_size
    assert ratio == pytest.approx(0.5, abs=0.01)


def test_files_that_are_no_weights_are_refused(tmp_path, weights):
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


# detecting


def test_missing_gpu_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="torch finds no GPU"):
        choose_device("cuda")
    assert choose_device("auto") == "cpu"


def test_slices_do_not_depend_on_their_block(weights):
    rng = np.random.default_rng(0)
    grey = rng.random((3, 130, 110), np.float32)
    phases = np.zeros(grey.shape, np.uint8)
    run = detector(weights)
    whole = run(grey, phases, 5)
    parts = Instances.concatenate([run(grey[i : i + 1], phases[i : i + 1], 5 + i) for i in range(3)])
    assert len(whole) > 20
    assert set(whole.slice) == {5, 6, 7}
    assert equal(whole, parts)


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
    assert [len(f["boxes"]) for f in found] == list(range(9))
    assert network.seen[:3] == [8, 4, 2]
    assert "batches of 4" in caplog.text
    monkeypatch.setattr(Hungry, "forward", lambda self, images: (_ for _ in ()).throw(torch.OutOfMemoryError("full")))
    with pytest.raises(torch.OutOfMemoryError):
        list(detect_tiles(network, iter([torch.ones(1, 1, 1)]), 8, "cuda"))


# the stage


@pytest.fixture
def volume(tmp_path):
    """A volume of squares whose phases are known."""
    grey = np.full((7, 64, 64), 50, np.uint8)
    phases = np.zeros(grey.shape, np.uint8)
    for z in range(7):
        for k in range(1 + z % 3):
            box = (z, slice(5 + z, 20 + z), slice(4 + 20 * k, 18 + 20 * k))
            grey[box], phases[box] = 200, Phase.ACTIVE
    path = tmp_path / "field.zarr"
    import dask
    import dask.array as da

    for label, array in ((None, grey), ("phases", phases)):
        attributes = {"percentiles": [50.0, 200.0]} if label else {}
        create_volume(path, shape=grey.shape, dtype="uint8", spacing=(1, 1, 1), label=label, attributes=attributes)
        dask.compute(
            *store_tasks(da.from_array(array, chunks=array.shape), path, label).values(), scheduler="synchronous"
        )
    return path, grey, phases


def test_graph_builds_without_computing(volume, tmp_path):
    calls = []
    tasks = detect_tasks(volume[0], tmp_path / "out", lambda *a: calls.append(a), DetectOptions(slices=3))
    assert len(tasks) == 3
    assert not calls
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("slices", [1, 3, 32])
def test_stage_equals_the_whole_array_for_any_block(volume, tmp_path, slices):
    path, grey, phases = volume
    run = WatershedDetector()
    count = detect_instances(path, tmp_path / "out", options=DetectOptions(slices=slices), detector=run)
    found = read_instances(tmp_path / "out")
    assert count == len(found) == int(sum(1 + z % 3 for z in range(7)))
    assert equal(found, run(grey.astype(np.float32), phases, 0))
    meta = read_metadata(next(iter(sorted((tmp_path / "out").glob("*.parquet")))))
    assert meta["options"]["slices"] == slices


def test_grey_reaches_the_detector_scaled_and_with_its_halo(volume, tmp_path):
    path, grey, _ = volume
    seen = {}

    class Looking:
        halo = 1

        def __call__(self, block, phases, first):
            seen[first] = (block.shape[0], block.min(), block.max(), phases.max())
            labels = (block > 0.5).astype(np.int32)
            parts = [Instances.from_labels(image, first + i) for i, image in enumerate(labels)]
            return Instances.concatenate(parts)

    detect_instances(path, tmp_path / "out", options=DetectOptions(slices=3), detector=Looking())
    assert seen == {0: (4, 0, 1, 2), 2: (5, 0, 1, 2), 5: (2, 0, 1, 2)}
    found = read_instances(tmp_path / "out")
    assert found.slice.tolist() == list(range(7))
    assert all(np.array_equal(found.labels(z) > 0, grey[z] > 100) for z in range(7))


def test_finished_blocks_are_not_run_again(volume, tmp_path):
    calls = []

    class Counting(WatershedDetector):
        def __call__(self, grey, phases, first):
            calls.append(first)
            return super().__call__(grey, phases, first)

    for _ in range(2):
        detect_instances(
            volume[0],
            tmp_path / "out",
            options=DetectOptions(slices=4),
            detector=Counting(),
            markers=tmp_path / "marks",
        )
    assert sorted(calls) == [0, 4]


def test_volume_without_phases_is_refused(tmp_path):
    create_volume(tmp_path / "a.zarr", shape=(1, 8, 8), dtype="uint8", spacing=(1, 1, 1))
    with pytest.raises((ValueError, FileNotFoundError), match="phases"):
        detect_instances(tmp_path / "a.zarr", tmp_path / "out", detector=WatershedDetector())


# watershed


def test_a_pocket_between_touching_particles_does_not_fuse_them():
    y, x = np.ogrid[:100, :100]
    centres = [(31, 31), (31, 68), (68, 31), (68, 68)]
    active = np.any([(y - a) ** 2 + (x - b) ** 2 <= 19.5**2 for a, b in centres], axis=0)
    assert not active[50, 50]
    assert fill_holes(active, 500)[50, 50], "the pocket is small enough to be a core"
    labels = split(active, smoothing=1, depth=2, fill=500)
    assert len({int(labels[centre]) for centre in centres}) == 4
    assert len(np.unique(labels)) == 5
    assert labels[50, 50] == 0


def test_watershed_parts_touching_discs_and_keeps_hollow_ones_whole():
    yy, xx = np.mgrid[:80, :120]
    active = (np.hypot(yy - 40, xx - 30) < 18) | (np.hypot(yy - 40, xx - 64) < 18)
    active[38:42, 28:32] = False
    labels = split(active, smoothing=1.0, depth=1.0, fill=200)
    assert len(np.unique(labels)) == 3
    assert labels[40, 30] == labels[40, 20] > 0
    found = WatershedDetector()(np.zeros((1, 80, 120), np.float32), np.where(active, np.uint8(2), np.uint8(0))[None], 4)
    assert len(found) == 2
    assert found.score.min() > 0.9


def test_solidity():
    square = np.ones((10, 10), bool)
    assert solidity(square) == pytest.approx(1)
    ell = square.copy()
    ell[:5, :5] = False
    assert solidity(ell) == pytest.approx(75 / 87.5)


def test_empty_slices():
    nothing = np.zeros((2, 30, 30), np.uint8)
    assert len(WatershedDetector()(nothing.astype(np.float32), nothing, 0)) == 0


def test_importing_the_package_is_light():
    code = "import sys, tomostat.detect, tomostat.kernels.score; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
