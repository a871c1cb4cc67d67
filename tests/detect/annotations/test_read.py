"""Annotated slices of every format, and files that are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from annotation_files import SQUARE, write_coco, write_via
from tomostat.detect.annotations import as_slices, read_annotations, read_labelled_volume
from tomostat.detect.crops import IGNORED, FixedSlices
from tomostat.volume import create_volume, write_box


def test_regions_borders_and_what_is_not_annotated_can_be_ignored(folder):
    drawn = write_via(folder, [(SQUARE, "Ignore"), ([[40, 40], [40, 50], [50, 45]], "p")])
    (got,) = read_annotations(drawn, border=3)
    assert got.labels[15, 15] == IGNORED
    assert (got.labels[0] == IGNORED).all()
    assert got.labels[44, 43] == 1
    assert got.labels[55, 70] == 0
    (got,) = read_annotations(drawn, partial=True)
    assert set(np.unique(got.labels)) == {IGNORED, 1}
    crowd = {"segmentation": [[10, 10, 30, 10, 30, 30]], "iscrowd": 1}
    assert read_annotations(write_coco(folder, [crowd]))[0].labels.max() == 0


def test_label_image_and_folder(folder):
    labels = np.zeros((60, 80), np.uint16)
    labels[5:20, 5:20], labels[30:50, 30:50] = 7, 900
    tifffile.imwrite(folder / "a_instances.tif", labels)
    for path in (folder, folder / "a_instances.tif"):
        (got,) = read_annotations(path)
        assert np.unique(got.labels).tolist() == [0, 1, 2]
        assert np.array_equal(got.labels > 0, labels > 0)
    assert as_slices([got])[0][0].dtype == np.float32


def test_labelled_volume(tmp_path):
    labels = np.zeros((3, 32, 32), np.uint32)
    labels[1, 5:15, 5:15] = 9
    for label, array in ((None, (labels > 0).astype(np.uint8)), ("particles", labels)):
        create_volume(tmp_path / "v.zarr", shape=array.shape, dtype=array.dtype, spacing=(1, 1, 1), label=label)
        write_box(tmp_path / "v.zarr", (0, 0, 0), array, label)
    got = read_labelled_volume(tmp_path / "v.zarr", slices=[0, 1, 2])
    assert [item.labels.max() for item in got] == [0, 1, 0]
    (only,) = read_annotations(tmp_path / "v.zarr", neighbours=1)
    assert only.name.endswith(":1")
    assert only.grey.shape == (3, 32, 32)
    assert [one.any() for one in only.grey] == [False, True, False]
    (edge,) = read_labelled_volume(tmp_path / "v.zarr", slices=[0], neighbours=1)
    assert [one.any() for one in edge.grey] == [False, False, True]  # the first slice is repeated before itself
    with pytest.raises(ValueError, match="slices is"):
        read_labelled_volume(tmp_path / "v.zarr", slices=[3])


def test_powder_file(data):
    got = read_annotations(data / "powder" / "via_training.json", classes=["Powder"])
    assert [item.labels.max() for item in got] == [219, 351, 259, 293]


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([[10.0, 10.0], [29.0, 29.0], [10.0, 29.0], [29.0, 10.0]], "region 0: polygon crosses itself"),
        ([[10.0, 10.0], [10.0, 200.0], [29.0, 29.0]], "region 0: polygon .* lies outside its image"),
        ([[10.0, 10.0], [12.0, 12.0]], "region 0: polygon has 2 points"),
    ],
)
def test_bad_polygons(folder, points, said):
    with pytest.raises(ValueError, match=f"a.tif, {said}"):
        read_annotations(write_via(folder, [(points, "p")]))


def test_bad_files(folder):
    empty = folder / "empty.json"
    empty.write_text("")
    with pytest.raises(ValueError, match="is not a json file"):
        read_annotations(empty)
    empty.write_text("{}")
    with pytest.raises(ValueError, match="is empty"):
        read_annotations(empty)
    empty.write_text('{"a": 1}')
    with pytest.raises(ValueError, match="neither COCO nor VIA"):
        read_annotations(empty)
    with pytest.raises(FileNotFoundError, match="no annotations"):
        read_annotations(folder / "absent.json")
    with pytest.raises(FileNotFoundError, match=r"b\.tif is missing"):
        read_annotations(write_via(folder, [(SQUARE, "p")], name="b.tif"))
    with pytest.raises(ValueError, match="region 0: class is 'dust'"):
        read_annotations(write_via(folder, [(SQUARE, "dust")]), classes=["Powder"])
    with pytest.raises(ValueError, match="annotation 0: category_id is 5"):
        read_annotations(write_coco(folder, [{"segmentation": [[1, 1, 5, 1, 5, 5]], "category_id": 5}]))
    with pytest.raises(ValueError, match="annotation 0: run lengths add up to 7"):
        read_annotations(write_coco(folder, [{"segmentation": {"size": [60, 80], "counts": [3, 4]}}]))
    with pytest.raises(ValueError, match="has no segmentation"):
        read_annotations(write_coco(folder, [{}]))


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ({"size": [60, 80]}, "lacks 'counts'"),
        ([[1, 2, 3, 4, 5]], "cannot reshape"),
        ([["a", "b", "c", "d", "e", "f"]], "could not convert"),
        (7, "annotation 0"),
    ],
)
def test_malformed_segmentation_names_file_and_region(folder, segmentation, said):
    path = write_coco(folder, [{"segmentation": segmentation}])
    with pytest.raises(ValueError, match=rf"coco\.json, annotation 0: .*{said}|coco\.json, {said}"):
        read_annotations(path)


def test_malformed_entries_name_what_they_lack(folder):
    with pytest.raises(ValueError, match=r"coco\.json: lacks 'file_name'"):
        read_annotations(write_coco(folder, [], images=[{"id": 3}]))
    path = write_via(folder, [(SQUARE, "particle")])
    content = json.loads(path.read_text())
    del content["_via_img_metadata"]["k"]["regions"][0]["shape_attributes"]["all_points_x"]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"via\.json, a\.tif, region 0: lacks 'all_points_x'"):
        read_annotations(path)


def test_a_stack_is_refused(folder):
    tifffile.imwrite(folder / "a.tif", np.zeros((5, 60, 80), np.uint16), photometric="minisblack")
    tifffile.imwrite(folder / "a_instances.tif", np.zeros((5, 60, 80), np.uint16), photometric="minisblack")
    with pytest.raises(ValueError, match=r"a\.tif has 5 slices; expected a single one"):
        read_annotations(folder / "a_instances.tif")


def test_a_volume_without_particles_is_refused(tmp_path):
    path = tmp_path / "bare.zarr"
    for label, dtype in ((None, np.uint8), ("particles", np.uint32)):
        create_volume(path, shape=(4, 32, 32), dtype=dtype, spacing=(1, 1, 1), label=label)
    with pytest.raises(ValueError, match="no slice of labels/particles contains a particle"):
        read_annotations(path)


def test_training_set_without_particle_is_refused(folder):
    (got,) = read_annotations(write_coco(folder, []))
    with pytest.raises(ValueError, match="at least one particle"):
        FixedSlices(as_slices([got]))
