"""COCO files."""

from __future__ import annotations

import numpy as np
import pytest

from annotation_files import write_coco
from tomostat.annotations import read_annotations
from tomostat.kernels.run_lengths import compress


def test_coco_polygon_and_run_lengths_agree(folder):
    corners = [10, 10, 30, 10, 30, 30, 10, 30]  # x, y from the corner of the first pixel
    mask = np.zeros((60, 80), bool)
    mask[10:30, 10:30] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.T.ravel().astype(int), [0]])))
    runs = np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()
    for segmentation in (
        [corners],
        {"size": [60, 80], "counts": runs},
        {"size": [60, 80], "counts": compress(np.array(runs))},
    ):
        (got,) = read_annotations(write_coco(folder, [{"segmentation": segmentation}]))
        assert np.array_equal(got.labels > 0, mask)


def test_coco_as_via_exports_it(folder):
    """Ids as text, and one flat list of corners."""
    entry = {"segmentation": [10, 10, 30, 10, 30, 30, 10, 30], "image_id": "3", "category_id": "1"}
    (got,) = read_annotations(write_coco(folder, [entry]))
    assert np.count_nonzero(got.labels) == 20 * 20


def test_a_code_that_does_not_end(folder):
    with pytest.raises(ValueError, match="annotation 0: the code of run lengths is damaged"):
        read_annotations(write_coco(folder, [{"segmentation": {"size": [60, 80], "counts": "o" * 100_000}}]))
    with pytest.raises(ValueError, match=r"annotation 0: run lengths are for \(60000, 80000\)"):
        read_annotations(write_coco(folder, [{"segmentation": {"size": [60000, 80000], "counts": [4800000000]}}]))
