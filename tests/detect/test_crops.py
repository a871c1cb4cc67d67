"""Training crops and targets."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.utils.data import DataLoader

from networks import SHORT, squares
from tomostat.detect.crops import IGNORED, Crops, FixedSlices, Mixture, augment, targets_of
from tomostat.detect.kernels.random_slices import random_slice


@pytest.mark.parametrize("shape", [(96, 96), (60, 140)])
def test_a_mirror_image_is_a_particle_of_its_own(shape):
    """Crops that reach beyond their slice show it mirrored; discs stay whole, and touch no other of their number."""
    y, x = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for i, (cy, cx) in enumerate([(20, 22), (44, 60), (20, shape[1] - 4), (3, 45)]):  # two of them cut by an edge
        labels[np.hypot(y - cy, x - cx) < 9] = i + 1
    seen = 0
    for seed in range(30):
        _, truth = augment(np.random.default_rng(seed), (labels > 0).astype(np.float32), labels, (128, 128), (0.5, 0.7))
        _, pieces = ndimage.label(truth > 0, np.ones((3, 3)))
        assert len(np.unique(truth)) - 1 == pieces
        assert all(ndimage.label(truth == i, np.ones((3, 3)))[1] == 1 for i in range(1, truth.max() + 1))
        seen += pieces
    assert seen > 30 * 6


def test_parts_of_a_broken_particle_stay_one_in_a_mirrored_crop():
    labels = np.zeros((64, 64), np.int32)
    labels[20:40, 12:22] = labels[20:40, 26:40] = 1
    for seed in range(10):
        _, truth = augment(np.random.default_rng(seed), (labels > 0).astype(np.float32), labels, (64, 64), (0.5, 0.6))
        sizes = np.bincount(truth.ravel())[1:]
        middle = truth[tuple(np.argwhere(truth > 0)[len(np.argwhere(truth > 0)) // 2])]
        assert ndimage.label(truth == middle)[1] <= 2
        assert len(sizes) < ndimage.label(truth > 0)[1]


def test_crops_keep_grey_and_labels_together():
    for seed in range(8):
        rng = np.random.default_rng(seed)
        grey, labels = augment(rng, *squares(rng), (48, 70), (0.5, 1.5))
        assert (grey.shape, labels.shape) == ((1, 48, 70), (48, 70))
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
    later = list(Crops(squares, SHORT, first=2))
    assert len(whole) == 4
    assert all(torch.equal(a[0], b[0]) for a, b in zip(whole[2:], later, strict=True))


def test_crops_may_be_smaller_in_some_steps():
    shapes = [images.shape for images, _ in Crops(squares, replace(SHORT, steps=40, batch=2, smaller=0.5))]
    small = [shape for shape in shapes if shape != (2, 1, 64, 64)]
    assert 10 < len(small) < 30
    assert len({shape[2:] for shape in small}) > 8
    assert all(48 <= n <= 64 for shape in small for n in shape[2:])
    assert {images.shape for images, _ in Crops(squares, SHORT)} == {(1, 1, 64, 64)}


def test_sources():
    a, b = (lambda rng, v=v: (np.full((2, 2), v, np.float32), np.ones((2, 2), np.int32)) for v in (1.0, 2.0))
    rng = np.random.default_rng(0)
    drawn = [Mixture([a, b], [1, 3])(rng)[0][0, 0] for _ in range(400)]
    assert np.mean(drawn) == pytest.approx(1.75, abs=0.08)
    assert FixedSlices([a(rng)])(rng)[0][0, 0] == 1
    with pytest.raises(ValueError, match="at least one particle"):
        FixedSlices([(np.zeros((2, 2), np.float32), np.zeros((2, 2), np.int32))])


def test_crops_of_sparse_annotations_contain_annotated_pixels():
    """One particle in a wide slice where nothing else is annotated."""
    labels = np.full((400, 400), IGNORED, np.int32)
    labels[30:60, 30:60] = 1
    given = FixedSlices([(np.zeros(labels.shape, np.float32), labels)])
    for _, targets in Crops(given, replace(SHORT, steps=20, batch=2)):
        assert all(len(target["boxes"]) for target in targets)
    labels[labels == 1] = IGNORED
    labels[200:202, 200:202] = 1  # too small to be a target
    with pytest.raises(ValueError, match="contain almost no annotated pixels"):
        list(Crops(FixedSlices([(np.zeros(labels.shape, np.float32), labels)]), SHORT))


def test_every_given_slice_is_cut_from(monkeypatch):
    """Given slices cost nothing: each crop is cut from one of its own."""
    slices = [(np.full((64, 64), i, np.float32), np.ones((64, 64), np.int32)) for i in range(60)]
    drawn = []

    def watch(rng, grey, labels, shape, zooms):
        drawn.append(grey[0, 0])
        return grey[None], labels

    monkeypatch.setattr("tomostat.detect.crops.augment", watch)
    list(Crops(FixedSlices(slices), replace(SHORT, steps=300, batch=2)))
    assert set(drawn) == set(range(60))


def test_batches_do_not_depend_on_the_number_of_processes():
    def batches(workers):
        crops = Crops(squares, replace(SHORT, steps=5))
        return [images for images, _ in DataLoader(crops, batch_size=None, num_workers=workers)]

    expected = batches(0)
    assert len(expected) == 5
    for workers in (1, 2):
        torch.testing.assert_close(batches(workers), expected, rtol=0, atol=0)


def test_sources_travel_to_other_processes():
    """Workers of a data loader are started anew on macOS and Windows."""
    crop = squares(np.random.default_rng(0))
    source = pickle.loads(pickle.dumps(Mixture([FixedSlices([crop]), random_slice], [1, 1])))
    assert source(np.random.default_rng(0))[0].ndim == 2
