"""COCO files."""

from __future__ import annotations

import numpy as np

from annotation_files import write_coco
from tomostat.detect.annotations import read_annotations
from tomostat.detect.annotations.run_lengths import compress


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
