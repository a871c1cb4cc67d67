"""Annotated slices of every format, and files that are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import zarr

from annotation_files import SQUARE, write_coco, write_via
from tomostat.annotations import as_slices, read_annotations, read_labelled_volume
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


def test_a_folder_may_hold_json(folder):
    with pytest.raises(ValueError, match=r"no label image named NAME_instances\.tif, and no json"):
        read_annotations(folder)
    (alone,) = read_annotations(write_via(folder, [(SQUARE, "p")]))
    (found,) = read_annotations(folder)
    assert np.array_equal(found.labels, alone.labels)
    assert found.name == "a.tif"


def test_a_mask_is_no_label_image(folder):
    mask = np.zeros((60, 80), np.uint8)
    mask[5:20, 5:20] = mask[5:20, 22:40] = 255  # a crack between two pieces of one particle
    tifffile.imwrite(folder / "a_instances.tif", mask)
    assert read_annotations(folder)[0].labels.max() == 1
    mask[40:50, 50:60] = 255
    tifffile.imwrite(folder / "a_instances.tif", mask)
    with pytest.raises(ValueError, match="a single label in several places: a mask, not particles; give each particle"):
        read_annotations(folder)


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


@pytest.mark.slow
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
    with pytest.raises(ValueError, match=r"coco\.json, image 3: lacks 'file_name'"):
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


def test_a_file_of_any_encoding(folder):
    path = write_coco(folder, [{"segmentation": [[1, 1, 30, 1, 30, 30]]}])
    text = path.read_text()
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        path.write_text(text, encoding=encoding)
        assert read_annotations(path)[0].labels.max() == 1


def test_all_problems_of_a_file_are_told_at_once(folder):
    good = [[1, 1, 30, 1, 30, 30]]
    entries = [[[5, 5, 6, 6]], good, [[5, 5, 9, 5, 15, 5]], [], [[5, 5, 999, 5, 5, 40]]]
    with pytest.raises(
        ValueError, match=r"coco\.json has 4 problems: annotation 3: has no seg.*annotation 0: polygon has 2"
    ) as caught:
        read_annotations(write_coco(folder, [{"segmentation": one} for one in entries]))
    assert all(f"annotation {i}: " in str(caught.value) for i in (0, 2, 3, 4))
    with pytest.raises(ValueError, match=r"has 30 problems.*; \.\.\."):
        read_annotations(write_coco(folder, [{}] * 30))


def test_outlines_drawn_on_a_copy_of_another_size(folder):
    image = {"id": 3, "file_name": "a.tif", "width": 40, "height": 30}
    path = write_coco(folder, [{"segmentation": [[1, 1, 20, 1, 20, 20]]}], images=[image])
    with pytest.raises(ValueError, match=r"a\.tif has \(60, 80\) pixels, the outlines are for \(30, 40\)"):
        read_annotations(path)
    path = write_coco(folder, [{"segmentation": [[1, 1, 20, 1, 20, 20]]}], images=[image | {"width": 80, "height": 60}])
    assert read_annotations(path)[0].labels.max() == 1


def test_ids_are_told_once(folder):
    polygon = {"segmentation": [[1, 1, 20, 1, 20, 20]]}
    image = {"id": 3, "file_name": "a.tif"}
    with pytest.raises(ValueError, match="annotation 0: its id is that of another"):
        read_annotations(write_coco(folder, [polygon, {**polygon, "id": 0}]))
    with pytest.raises(ValueError, match="two entries have the image id 3"):
        read_annotations(write_coco(folder, [polygon], images=[image, image]))
    with pytest.raises(ValueError, match=r"two entries are of the image a\.tif"):
        read_annotations(write_coco(folder, [polygon], images=[image, image | {"id": 4}]))


def test_images_are_looked_for_in_their_folder_only(folder):
    polygon = {"segmentation": [[1, 1, 20, 1, 20, 20]]}
    for name in ("C:\\scans\\a.tif", "sub\\..\\a.tif", "/home/somebody/a.tif", "../elsewhere/a.tif"):
        path = write_coco(folder, [polygon], images=[{"id": 3, "file_name": name}])
        assert read_annotations(path)[0].name == "a.tif"
    inner = folder / "in"
    inner.mkdir()
    path = write_coco(inner, [polygon], images=[{"id": 3, "file_name": "../a.tif"}])
    with pytest.raises(ValueError, match=r"names the image '\.\./a\.tif', outside"):
        read_annotations(path)
    assert read_annotations(path, images=folder)[0].labels.max() == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"project": {}, "config": {}, "metadata": {}, "view": {}}, "is a project of VIA 3; open it in VIA 2"),
        ({"version": "5.0", "shapes": [], "imagePath": "a.tif"}, "is a LabelMe file; convert it to COCO"),
    ],
)
def test_files_of_other_programs(folder, content, words):
    path = folder / "other.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=words):
        read_annotations(path)


def test_a_foreign_labelled_volume(tmp_path):
    labels = np.zeros((3, 32, 32), np.int64)
    labels[1, 5:15, 5:15] = 2**40
    group = zarr.open_group(tmp_path / "v.zarr", mode="w", zarr_format=2)
    scales = [{"version": "0.4", "axes": list("zyx"), "datasets": [{"path": "s0"}]}]
    for where, array in ((group, (labels > 0).astype(np.uint8)), (group.create_group("labels/particles"), labels)):
        where.create_array("s0", shape=array.shape, dtype=array.dtype, chunks=(1, 16, 16))[...] = array
        where.attrs["multiscales"] = scales
    (only,) = read_annotations(tmp_path / "v.zarr", neighbours=1)
    assert only.labels.max() == 1
    assert [one.any() for one in only.grey] == [False, True, False]


def test_the_former_place_still_works(tmp_path):
    from tomostat.detect import annotations

    with (
        pytest.warns(DeprecationWarning, match=r"is now tomostat\.annotations"),
        pytest.raises(FileNotFoundError),
    ):
        annotations.read_annotations(tmp_path / "none.json")
