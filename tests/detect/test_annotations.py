"""Annotations of every kind, and what is wrong with bad ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from tomostat.detect.annotations import as_slices, decode_rle, find_crossing, read_annotations, read_labelled_volume
from tomostat.detect.crops import IGNORED, Given
from tomostat.volume import create_volume, store_tasks

SQUARE = [[10.0, 10.0], [10.0, 29.0], [29.0, 29.0], [29.0, 10.0]]  # y, x of corner pixels


@pytest.fixture
def folder(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (60, 80)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image)
    return tmp_path


def via(folder, regions, *, version=2, name="a.tif"):
    """Write a VIA file with polygon regions [(points, class)]."""
    listed = [
        {
            "shape_attributes": {
                "name": "polygon",
                "all_points_y": [p[0] for p in points],
                "all_points_x": [p[1] for p in points],
            },
            "region_attributes": {"kind": kind},
        }
        for points, kind in regions
    ]
    entry = {"filename": name, "size": 1, "regions": listed}
    content = {"_via_img_metadata": {"k": entry}}
    if version == 1:
        content = {"k": entry | {"regions": {str(i): region for i, region in enumerate(listed)}}}
    path = folder / "via.json"
    path.write_text(json.dumps(content))
    return path


def coco(folder, annotations, **changes):
    content = {
        "images": [{"id": 3, "file_name": "a.tif"}],
        "categories": [{"id": 1, "name": "particle"}],
        "annotations": [{"id": i, "image_id": 3, "category_id": 1, **a} for i, a in enumerate(annotations)],
    }
    path = folder / "coco.json"
    path.write_text(json.dumps(content | changes))
    return path


def compress(runs):
    """COCO's compressed code, the inverse of what is tested, written from its C source."""
    out = ""
    for i, run in enumerate(runs):
        x = run - (runs[i - 2] if i > 2 else 0)
        more = True
        while more:
            bits = x & 0x1F
            x >>= 5
            more = x != -1 if bits & 0x10 else x != 0
            out += chr(bits + (0x20 if more else 0) + 48)
    return out


@pytest.mark.parametrize("version", [1, 2])
def test_via_polygon(folder, version):
    inner = [[14.0, 14.0], [14.0, 18.0], [18.0, 18.0]]
    (got,) = read_annotations(via(folder, [(inner, "p"), (SQUARE, "p")], version=version))
    assert got.name == "a.tif"
    assert got.labels.max() == 2
    assert np.count_nonzero(got.labels) == 20 * 20
    assert got.labels[15, 17] != got.labels[25, 25] != 0  # the small one stays on top


def test_coco_polygon_and_run_lengths_agree(folder):
    corners = [10, 10, 30, 10, 30, 30, 10, 30]  # x, y from the corner of the first pixel
    mask = np.zeros((60, 80), bool)
    mask[10:30, 10:30] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.T.ravel().astype(int), [0]])))
    runs = np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()
    for segmentation in (
        [corners],
        {"size": [60, 80], "counts": runs},
        {"size": [60, 80], "counts": compress(runs)},
    ):
        (got,) = read_annotations(coco(folder, [{"segmentation": segmentation}]))
        assert np.array_equal(got.labels > 0, mask)


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=30))
def test_run_lengths_come_back(runs):
    total = sum(runs)
    if total:
        plain = decode_rle({"size": [total, 1], "counts": runs})
        assert np.array_equal(plain, decode_rle({"size": [total, 1], "counts": compress(runs)}))
        assert plain.sum() == sum(runs[1::2])


def test_compressed_code_equals_pycocotools():
    masks = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    mask = np.random.default_rng(2).random((37, 23)) < 0.3
    code = masks.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert np.array_equal(decode_rle(code), mask)


def test_regions_borders_and_what_is_not_annotated_can_be_ignored(folder):
    drawn = via(folder, [(SQUARE, "Ignore"), ([[40, 40], [40, 50], [50, 45]], "p")])
    (got,) = read_annotations(drawn, border=3)
    assert got.labels[15, 15] == IGNORED
    assert (got.labels[0] == IGNORED).all()
    assert got.labels[44, 43] == 1
    assert got.labels[55, 70] == 0
    (got,) = read_annotations(drawn, partial=True)
    assert set(np.unique(got.labels)) == {IGNORED, 1}
    crowd = {"segmentation": [[10, 10, 30, 10, 30, 30]], "iscrowd": 1}
    assert read_annotations(coco(folder, [crowd]))[0].labels.max() == 0


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
    import dask
    import dask.array as da

    labels = np.zeros((3, 32, 32), np.uint32)
    labels[1, 5:15, 5:15] = 9
    for label, array in ((None, (labels > 0).astype(np.uint8)), ("particles", labels)):
        create_volume(tmp_path / "v.zarr", shape=array.shape, dtype=array.dtype, spacing=(1, 1, 1), label=label)
        tasks = store_tasks(da.from_array(array, chunks=array.shape), tmp_path / "v.zarr", label)
        dask.compute(*tasks.values(), scheduler="synchronous")
    got = read_labelled_volume(tmp_path / "v.zarr", slices=[0, 1, 2])
    assert [item.labels.max() for item in got] == [0, 1, 0]
    (only,) = read_annotations(tmp_path / "v.zarr", around=1)
    assert only.name.endswith(":1")
    assert only.grey.shape == (3, 32, 32)
    assert [one.any() for one in only.grey] == [False, True, False]
    (edge,) = read_labelled_volume(tmp_path / "v.zarr", slices=[0], around=1)
    assert [one.any() for one in edge.grey] == [False, False, True]  # the first slice stands for the one before it
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
        read_annotations(via(folder, [(points, "p")]))


def test_bad_files(folder):
    empty = folder / "empty.json"
    empty.write_text("")
    with pytest.raises(ValueError, match="is no json file"):
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
        read_annotations(via(folder, [(SQUARE, "p")], name="b.tif"))
    with pytest.raises(ValueError, match="region 0: class is 'dust'"):
        read_annotations(via(folder, [(SQUARE, "dust")]), classes=["Powder"])
    with pytest.raises(ValueError, match="annotation 0: category_id is 5"):
        read_annotations(coco(folder, [{"segmentation": [[1, 1, 5, 1, 5, 5]], "category_id": 5}]))
    with pytest.raises(ValueError, match="annotation 0: run lengths add up to 7"):
        read_annotations(coco(folder, [{"segmentation": {"size": [60, 80], "counts": [3, 4]}}]))
    with pytest.raises(ValueError, match="has no segmentation"):
        read_annotations(coco(folder, [{}]))


def test_training_set_without_particle_is_refused(folder):
    (got,) = read_annotations(coco(folder, []))
    with pytest.raises(ValueError, match="at least one particle"):
        Given(as_slices([got]))


def test_crossing_is_found_and_touching_allowed():
    assert find_crossing(np.array([[0, 0], [2, 2], [0, 2], [2, 0.0]])) == (0, 2)
    assert find_crossing(np.array(SQUARE)) is None
    touching = np.array([[0, 0], [0, 4], [2, 2], [4, 4], [4, 0], [2, 2.0]])
    assert find_crossing(touching) is None


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
    path = coco(folder, [{"segmentation": segmentation}])
    with pytest.raises(ValueError, match=rf"coco\.json, annotation 0: .*{said}|coco\.json, {said}"):
        read_annotations(path)


def test_malformed_entries_name_what_they_lack(folder):
    with pytest.raises(ValueError, match=r"coco\.json: lacks 'file_name'"):
        read_annotations(coco(folder, [], images=[{"id": 3}]))
    path = via(folder, [(SQUARE, "particle")])
    content = json.loads(path.read_text())
    del content["_via_img_metadata"]["k"]["regions"][0]["shape_attributes"]["all_points_x"]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"via\.json, a\.tif, region 0: lacks 'all_points_x'"):
        read_annotations(path)


def test_a_stack_is_no_slice(folder):
    tifffile.imwrite(folder / "a.tif", np.zeros((5, 60, 80), np.uint16), photometric="minisblack")
    tifffile.imwrite(folder / "a_instances.tif", np.zeros((5, 60, 80), np.uint16), photometric="minisblack")
    with pytest.raises(ValueError, match=r"a\.tif is of shape \(5, 60, 80\); expected a single slice"):
        read_annotations(folder / "a_instances.tif")


def test_a_volume_without_particles_is_refused(tmp_path):
    path = tmp_path / "bare.zarr"
    for label, dtype in ((None, np.uint8), ("particles", np.uint32)):
        create_volume(path, shape=(4, 32, 32), dtype=dtype, spacing=(1, 1, 1), label=label)
    with pytest.raises(ValueError, match="no slice of labels/particles holds a particle"):
        read_annotations(path)
