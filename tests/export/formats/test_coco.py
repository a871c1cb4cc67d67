"""Annotations that COCO's own tools and `tomostat train` read back as the labels that they were made of."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pycocotools import mask as codec
from pycocotools.coco import COCO

from stores import read_whole
from tomostat.annotations import read_annotations


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_pycocotools_finds_the_labels(exported, results, capsys):
    labels = read_whole(results.volume("slow-1"), "particles")
    coco = COCO(exported / "coco" / "slow-1.json")
    capsys.readouterr()
    assert len(coco.imgs) == len(labels)
    found = np.zeros_like(labels)
    for one in coco.anns.values():
        mask = coco.annToMask(one).astype(bool)
        assert not found[one["image_id"]][mask].any()
        found[one["image_id"]][mask] = one["particle"]
        assert codec.toBbox(one["segmentation"]).tolist() == one["bbox"]
        assert codec.area(one["segmentation"]) == one["area"]
    np.testing.assert_array_equal(found, labels)


def test_training_reads_it(exported, results):
    labels = read_whole(results.volume("slow-1"), "particles")
    slices = read_annotations(exported / "coco" / "slow-1.json")
    assert [one.name for one in slices] == [f"{z:05d}.png" for z in range(len(labels))]
    middle = slices[12]
    np.testing.assert_array_equal(middle.labels > 0, labels[12] > 0)
    assert len(np.unique(middle.labels)) == len(np.unique(labels[12]))
    grey = read_whole(results.volume("slow-1"), None)[12].astype(float)
    assert np.corrcoef(middle.grey.ravel(), grey.ravel())[0, 1] > 0.99


def test_every_particle_is_told_once_per_slice(exported):
    content = json.loads((exported / "coco" / "fast-1.json").read_text())
    assert [one["id"] for one in content["annotations"]] == list(range(1, len(content["annotations"]) + 1))
    keys = [(one["image_id"], one["particle"]) for one in content["annotations"]]
    assert len(set(keys)) == len(keys)
    assert content["categories"] == [{"id": 1, "name": "particle", "supercategory": ""}]
