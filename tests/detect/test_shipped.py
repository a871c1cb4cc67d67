"""The shipped networks do what the model card says, on phantoms that nothing was trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tomostat.detect import predict
from tomostat.detect.checkpoint import SHIPPED, load_checkpoint, weights_path
from tomostat.detect.detector import make_detector
from tomostat.detect.kernels.grey import scale_grey
from tomostat.detect.options import DetectOptions
from tomostat.instances import Instances
from tomostat.kernels.score import remove_small_objects, score_instances
from tomostat.phantom import make_scene, render
from tomostat.phantom.options import PhantomOptions

pytestmark = pytest.mark.network

OPTIONS = PhantomOptions(shape=(16, 256, 256), seed=424_242, spacing=(0.2, 0.2, 0.2))


@pytest.fixture(scope="module")
def slices():
    """Grey and truth of two slices."""
    scene = make_scene(OPTIONS)
    drawn = [render(scene, (z, 0, 0), (1, 256, 256)) for z in (3, 12)]
    grey = np.stack([scale_grey(d.grey[0].astype(np.float32)) for d in drawn])
    truth = [Instances.from_labels(remove_small_objects(d.labels[0]), z) for z, d in enumerate(drawn)]
    return grey, Instances.concatenate(truth)


def test_weights_fit_the_package():
    assert sum(weights_path(name).stat().st_size for name in SHIPPED) < 40 * 2**20


@pytest.mark.parametrize("weights", SHIPPED)
def test_weights_record_their_training(weights):
    checkpoint = load_checkpoint(weights_path(weights))
    assert checkpoint.network.config.detections >= 1000
    assert checkpoint.training.step > 500
    assert checkpoint.training.options["zoom"][1] > 1.5


@pytest.mark.parametrize("weights", SHIPPED)
def test_particles_of_an_unseen_phantom_are_found(slices, weights):
    grey, truth = slices
    found = make_detector(DetectOptions(weights=weights))(grey, np.zeros(grey.shape, np.uint8), 0)
    got = score_instances(truth, found)
    assert got.f1 > 0.93
    assert got.mean_iou > 0.85


def test_half_precision_finds_the_same_particles(slices, monkeypatch):
    """Wherever the tests run: bfloat16 is computed on every CPU, if slowly."""
    grey, truth = slices
    found = {}
    for precision in (None, torch.bfloat16):
        monkeypatch.setattr(predict, "half_precision", lambda device, chosen=precision: chosen)
        found[precision] = make_detector(DetectOptions())(grey, grey, 0)
    assert score_instances(found[None], found[torch.bfloat16]).pq > 0.98
    single, half = (score_instances(truth, part) for part in found.values())
    assert half.pq == pytest.approx(single.pq, abs=0.01)


def test_single_precision_is_an_option(slices, monkeypatch):
    monkeypatch.setattr(predict, "half_precision", lambda device: pytest.fail("was asked for single precision"))
    grey, _ = slices
    assert len(make_detector(DetectOptions(precision="single"))(grey[:1], grey[:1], 0))


@pytest.mark.parametrize("weights", SHIPPED)
def test_scale_does_not_matter(slices, weights):
    """Half-size particles, as in a slice of twice the voxel size, are found as well."""
    grey, truth = slices
    half = grey[:, ::2, ::2]
    small = Instances.concatenate(
        [Instances.from_labels(remove_small_objects(truth.labels(z)[::2, ::2]), z) for z in range(len(grey))]
    )
    found = make_detector(DetectOptions(weights=weights))(half, np.zeros(half.shape, np.uint8), 0)
    assert score_instances(small, found).f1 > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("weights", SHIPPED)
def test_tiles_find_what_a_single_pass_finds(slices, weights):
    grey, _ = slices
    options = DetectOptions(weights=weights)
    whole = make_detector(options)(grey, grey, 0)
    tiled = make_detector(replace(options, tile=160, overlap=96))(grey, grey, 0)
    assert score_instances(whole, tiled).f1 > 0.93


def test_same_slice_same_particles_bit_for_bit(slices):
    grey, _ = slices
    detector = make_detector(DetectOptions())
    first = detector(grey[:1], grey[:1], 0)
    assert first.to_table().equals(detector(grey[:1], grey[:1], 0).to_table())


def test_the_network_uses_the_threads_of_the_options(slices):
    for threads in (2, 1):
        make_detector(DetectOptions(threads=threads))(slices[0][:1, :64, :64], slices[0][:1, :64, :64], 0)
        assert torch.get_num_threads() == threads


@pytest.mark.parametrize("weights", SHIPPED)
def test_real_slices_as_they_are(data, weights):
    """Figures of the model card on one real slice; `benchmarks/bench_detect.py` prints all."""
    import tifffile

    grey = scale_grey(tifffile.imread(data / "nmc_slice_a.tif").astype(np.float32))
    labels = remove_small_objects(tifffile.imread(data / "nmc_slice_a_instances.tif").astype(np.int32))
    found = make_detector(DetectOptions(weights=weights))(grey[None], grey[None], 0)
    got = score_instances(Instances.from_labels(labels, 0), found, on_truth=0.2)
    assert got.f1 >= 0.98


def test_next_to_nothing_is_found_in_noise():
    """Noise stretched to full contrast: before training saw empty slices, 20 particles in each of these."""
    rng = np.random.default_rng(0)
    noise = np.concatenate([scale_grey(rng.normal(size=(1, 128, 128)).astype(np.float32)) for _ in range(4)])
    assert len(make_detector(DetectOptions())(noise, noise, 0)) <= 4
