"""Pasting masks and joining tiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torchvision.models.detection.roi_heads import project_masks_on_boxes

from properties import examples
from shapes import same_partition
from tomostat.detect.kernels.masks import Tile, join_tiles, paste
from tomostat.kernels.tiles import tile_starts


def disc_mask(size=28):
    yy, xx = np.mgrid[:size, :size] - (size - 1) / 2
    return np.clip(0.5 + (0.5 * size - np.hypot(yy, xx)) / 2, 0, 1).astype(np.float32)


def brute_paste(mask, box, shape):
    """One mask by scipy's bilinear interpolation."""
    x0, y0, x1, y1 = box
    m = mask.shape[0]
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    v, u = (yy - y0) / (y1 - y0) * m - 0.5, (xx - x0) / (x1 - x0) * m - 0.5
    value = ndimage.map_coordinates(mask.astype(float), [v, u], order=1, mode="nearest")
    yy, xx = yy + 0.5, xx + 0.5
    return (value > 0.5) & (yy >= y0) & (yy <= y1) & (xx >= x0) & (xx <= x1)


@examples(40)
@given(st.integers(0, 2**32 - 1))
def test_paste_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    mask = ndimage.gaussian_filter(rng.random((28, 28)), 3)
    mask = ((mask - mask.min()) / np.ptp(mask)).astype(np.float32)
    low = rng.uniform(-10, 40, 2)
    box = np.float32([*low, *(low + rng.uniform(1, 30, 2))])
    labels, area = paste(mask[None], box[None], (50, 60))
    expected = brute_paste(mask, box.astype(float), (50, 60))
    assert np.count_nonzero((labels > 0) != expected) <= 1  # float32 ties on the threshold
    assert area[0] == np.count_nonzero(labels)


@pytest.mark.parametrize("radius", [6.3, 13.0, 25.2])
def test_pasting_undoes_what_training_targets_do(radius):
    """The 28 x 28 target of a disc, pasted into its box, is the disc: no half pixel is lost between the two."""
    yy, xx = np.mgrid[:64, :64]
    disc = np.hypot(yy - 31.4, xx - 32.2) < radius
    rows, columns = np.flatnonzero(disc.any(1)), np.flatnonzero(disc.any(0))
    box = np.float32([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]])
    target = project_masks_on_boxes(
        torch.from_numpy(disc[None].astype(np.uint8)), torch.from_numpy(box), torch.zeros(1, dtype=torch.int64), 28
    )
    labels, _ = paste(target.numpy(), box, disc.shape)
    both, either = np.count_nonzero((labels > 0) & disc), np.count_nonzero((labels > 0) | disc)
    assert both / either > 0.96
    centre = [axis.mean() - other.mean() for axis, other in zip(np.nonzero(labels), np.nonzero(disc), strict=True)]
    assert np.abs(centre).max() < 0.15


def test_better_mask_keeps_shared_pixels_and_duplicates_go():
    masks = np.ones((3, 28, 28), np.float32)
    boxes = np.float32([[10, 10, 30, 30], [25, 10, 45, 30], [11, 11, 30, 31]])
    labels, area = paste(masks, boxes, (40, 60))
    assert area.tolist() == [400, 300, 0]
    assert np.bincount(labels.ravel())[1:].tolist() == [400, 300]


def test_a_shared_pixel_goes_to_the_mask_of_larger_probability():
    """A mask that its box cuts straight within a neighbour is less probable there than the neighbour's."""
    masks = np.stack([np.full((28, 28), p, np.float32) for p in (0.6, 0.9)])
    boxes = np.float32([[10, 10, 30, 30], [27, 10, 47, 30]])
    labels, area = paste(masks, boxes, (40, 60))
    assert (labels[10:30, 27:30] == 2).all()
    assert area.tolist() == [340, 400]
    assert np.bincount(labels.ravel())[1:].tolist() == area.tolist()


def test_a_mask_around_a_more_certain_one_comes_last():
    """It may be several particles taken for one: what it holds is pasted first, however certain."""
    masks = np.ones((3, 28, 28), np.float32)
    boxes = np.float32([[30, 10, 40, 20], [10, 5, 50, 35], [12, 12, 26, 30]])
    labels, area = paste(masks, boxes, (40, 60))
    assert area.tolist() == [100, 1200 - 100 - 252, 252]
    assert np.bincount(labels.ravel())[1:].tolist() == area.tolist()
    _, area = paste(masks[1:], boxes[1:], (40, 60))  # nothing more certain in it: the less certain part goes
    assert area.tolist() == [1200, 0]


def test_empty_and_outside_boxes_are_dropped():
    boxes = np.float32([[5, 5, 5, 9], [-9, -9, -2, -2], [99, 0, 120, 10]])
    labels, area = paste(np.ones((3, 28, 28), np.float32), boxes, (20, 20))
    assert not area.any()
    assert not labels.any()


def particles(rng, shape, radius):
    """Discs that touch but do not overlap."""
    labels = np.zeros(shape, np.int32)
    yy, xx = np.ogrid[: shape[0], : shape[1]]
    for i in range(1, 60):
        y, x = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        disc = np.hypot(yy - y, xx - x) < rng.uniform(4, radius)
        if not labels[disc].any():
            labels[disc] = i
    return labels


def cut_tiles(labels, tile, overlap, rng=None):
    """Perfect detections of every tile, numbered anew."""
    tiles = []
    for y in tile_starts(labels.shape[0], tile, overlap):
        for x in tile_starts(labels.shape[1], tile, overlap):
            values, part = np.unique(labels[y : y + tile, x : x + tile], return_inverse=True)
            part = part.reshape(min(tile, labels.shape[0]), -1) + (values[0] != 0)
            count = part.max()
            scores = np.ones(count) if rng is None else rng.uniform(0.5, 1, count)
            tiles.append(Tile((y, x), part.astype(np.int32), scores.astype(np.float32)))
    return tiles


@examples(30)
@given(st.integers(0, 2**32 - 1))
def test_joined_tiles_equal_the_whole(seed):
    rng = np.random.default_rng(seed)
    labels = particles(rng, (150, 170), 14)  # smaller than the overlap: whole in some tile
    joined, scores = join_tiles(cut_tiles(labels, 80, 32, rng), labels.shape)
    assert same_partition(joined, labels)
    assert len(scores) == joined.max() + 1


def test_particle_larger_than_any_tile_is_united():
    labels = np.zeros((200, 200), np.int32)
    labels[20:180, 30:170] = 1
    joined, scores = join_tiles(cut_tiles(labels, 80, 20), labels.shape)
    assert same_partition(joined, labels)
    assert scores.tolist() == [0.0, 1.0]


def test_cut_piece_that_the_neighbour_denies_is_dropped():
    left, right = np.zeros((80, 80), np.int32), np.zeros((80, 80), np.int32)
    left[30:40, 70:80] = 1  # cut by the tile's right side, inside the overlap
    tiles = [Tile((0, 0), left, np.float32([0.9])), Tile((0, 48), right, np.float32([]))]
    joined, _ = join_tiles(tiles, (80, 128))
    assert not joined.any()


def test_two_whole_views_of_one_particle_count_once():
    labels = np.zeros((80, 128), np.int32)
    labels[30:45, 55:70] = 1
    first, second = cut_tiles(labels, 80, 32)
    second = Tile(second.corner, np.roll(second.labels, 1, 1), np.float32([0.7]))
    joined, scores = join_tiles([first, second], labels.shape)
    assert same_partition(joined, labels)
    assert scores.tolist() == pytest.approx([0, 1.0])
