"""COCO's run-length codes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_files import compress
from tomostat.detect.annotations.run_lengths import decode


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=30))
def test_run_lengths_come_back(runs):
    total = sum(runs)
    if total:
        plain = decode(runs, (total, 1))
        assert np.array_equal(plain, decode(compress(runs), (total, 1)))
        assert plain.sum() == sum(runs[1::2])


def test_compressed_code_equals_pycocotools():
    masks = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    mask = np.random.default_rng(2).random((37, 23)) < 0.3
    code = masks.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert np.array_equal(decode(code["counts"], tuple(code["size"])), mask)
