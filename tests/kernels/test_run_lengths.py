"""COCO's run-length codes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomostat.instances import Instances
from tomostat.kernels.run_lengths import compress, decode, encode


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=30))
def test_run_lengths_come_back(runs):
    total = sum(runs)
    if total:
        plain = decode(runs, (total, 1))
        assert np.array_equal(plain, decode(compress(np.array(runs)), (total, 1)))
        assert plain.sum() == sum(runs[1::2])


def test_compressed_code_equals_pycocotools():
    masks = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    mask = np.random.default_rng(2).random((37, 23)) < 0.3
    code = masks.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert np.array_equal(decode(code["counts"], tuple(code["size"])), mask)


@pytest.mark.parametrize("mask", ["random", "full", "first", "last", "columns"])
def test_encoded_masks_equal_those_of_pycocotools(mask):
    masks = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    image = np.zeros((37, 23), np.uint8)
    if mask == "random":
        image[np.random.default_rng(2).random(image.shape) < 0.3] = 1
    image[{"random": (0, 0), "full": ..., "first": (0, 0), "last": (-1, -1), "columns": (..., slice(3, 9))}[mask]] = 1
    found = Instances.from_labels(image.T, 0)
    assert (
        encode(found.run_start, found.run_length, image.size)
        == masks.encode(np.asfortranarray(image))["counts"].decode()
    )
