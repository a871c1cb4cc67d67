"""The instance table: masks survive runs, Arrow and Parquet; overlap goes to the better score; ids to places."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tomostat
from properties import examples
from tomostat.instances import SCHEMA, InstanceMetadata, Instances, read_instances, read_metadata, write_instances

images = hnp.arrays(np.int32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.integers(0, 4))


def by_place(image):
    """Labels renumbered by their first pixel, in plain Python."""
    order: dict[int, int] = {}
    for value in image.ravel().tolist():
        if value and value not in order:
            order[value] = len(order) + 1
    return np.vectorize(lambda v: order.get(int(v), 0), otypes=[int])(image)


@examples(100)
@given(images, st.integers(0, 2**31 - 1))
def test_masks_survive_as_runs(image, z):
    found = Instances.from_labels(image, z)
    expected = by_place(image)
    assert np.array_equal(found.labels(z), expected)
    assert len(found) == expected.max()
    for i in range(len(found)):
        y, x = np.nonzero(expected == i + 1)
        assert found.area[i] == len(y)
        assert found.box[i].tolist() == [y.min(), x.min(), y.max() + 1, x.max() + 1]
        assert int(found.id[i]) == z << 32 | i


@examples(100)
@given(images)
def test_runs_stay_in_their_row(image):
    found = Instances.from_labels(image, 0)
    width = image.shape[1]
    assert np.array_equal(found.run_start // width, (found.run_start + found.run_length - 1) // width)
    covered = np.concatenate(
        [np.arange(a, a + n) for a, n in zip(found.run_start, found.run_length, strict=True)] or [[]]
    )
    assert sorted(covered) == np.flatnonzero(image).tolist()


@examples(100)
@given(images, images)
def test_tables_survive_arrow(first, second):
    second = np.resize(second, first.shape)
    both = Instances.concatenate([Instances.from_labels(second, 7), Instances.from_labels(first, 3)])
    table = both.to_table()
    assert table.schema.equals(SCHEMA)
    back = Instances.from_table(table, first.shape)
    assert back.slice.tolist() == sorted(back.slice.tolist())
    for z, image in ((3, first), (7, second), (5, np.zeros_like(first))):
        assert np.array_equal(back.labels(z), by_place(image))
    assert np.array_equal(back.id, both.id)


@examples(100)
@given(images, st.data())
def test_take_is_indexing(image, data):
    found = Instances.from_labels(image, 2)
    rows = data.draw(st.lists(st.integers(0, max(len(found) - 1, 0)), max_size=4)) if len(found) else []
    taken = found.take(np.array(rows, int))
    assert taken.area.tolist() == [found.area[i] for i in rows]
    assert np.array_equal(found.take(found.area > 2).area, found.area[found.area > 2])


@examples(100)
@given(
    st.lists(
        st.tuples(
            hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=5)),
            st.tuples(st.integers(-3, 7), st.integers(-3, 7)),
        ),
        max_size=4,
    ),
    st.permutations([0.9, 0.8, 0.7, 0.6]),
)
def test_a_shared_pixel_goes_to_the_better_score(boxes, order):
    shape, scores = (6, 7), order[: len(boxes)]
    best = np.zeros(shape)
    for (mask, (top, left)), score in zip(boxes, scores, strict=True):
        for y, x in np.argwhere(mask):
            if 0 <= y + top < 6 and 0 <= x + left < 7:
                best[y + top, x + left] = max(best[y + top, x + left], score)
    corners = np.array([corner for _, corner in boxes]).reshape(-1, 2)
    found = Instances.from_masks([mask for mask, _ in boxes], corners, scores, 1, shape)
    labels = found.labels(1)
    assert np.array_equal(labels > 0, best > 0)
    painted = np.concatenate([[0], found.score])[labels]
    assert np.allclose(painted, best)


def test_scores_follow_their_labels():
    image = np.array([[0, 5, 5], [2, 0, 9]])
    scores = np.zeros(10)
    scores[[2, 5, 9]] = 0.2, 0.5, 0.9
    assert np.allclose(Instances.from_labels(image, 0, scores).score, [0.5, 0.2, 0.9])


def test_no_instance_at_all(tmp_path):
    none = Instances.empty((4, 5))
    assert len(none) == 0
    assert none.box.shape == (0, 4)
    assert len(none.id) == len(none.area) == 0
    assert none.labels(3).tolist() == [[0] * 5] * 4
    write_instances(tmp_path / "a.parquet", none, range(4))
    assert len(read_instances(tmp_path / "a.parquet")) == 0
    assert len(Instances.from_masks([], np.zeros((0, 2)), [], 0, (4, 5))) == 0


def test_folders_are_read_in_order_of_slices(tmp_path):
    rng = np.random.default_rng(0)
    images = {z: rng.integers(0, 4, (6, 9)) for z in range(8)}
    for name, slices in (("b", range(0, 4)), ("a", range(4, 8))):
        part = Instances.concatenate([Instances.from_labels(images[z], z) for z in slices])
        write_instances(tmp_path / f"{name}.parquet", part, slices, {"detector": "by hand"})
    (tmp_path / "c.123.part").write_bytes(b"half-written")
    every = read_instances(tmp_path)
    assert all(np.array_equal(every.labels(z), by_place(images[z])) for z in images)
    some = read_instances(tmp_path, range(3, 6))
    assert sorted(set(some.slice.tolist())) == [3, 4, 5]
    assert np.array_equal(some.labels(4), by_place(images[4]))
    assert read_metadata(tmp_path / "a.parquet") == InstanceMetadata(
        shape=(6, 9), slices=range(4, 8), options={"detector": "by hand"}, version=tomostat.__version__
    )


def test_slices_are_skipped_without_being_read(tmp_path):
    write_instances(tmp_path / "a.parquet", Instances.from_labels(np.eye(4, dtype=int), 1), range(4))
    assert len(read_instances(tmp_path, range(4, 9))) == 0


def test_what_is_no_table_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no instance table"):
        read_instances(tmp_path)
    with pytest.raises(FileNotFoundError, match="no instance table"):
        read_instances(tmp_path / "none.parquet")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(ValueError, match="not a table of instances"):
        read_instances(tmp_path)
    pq.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="not a table of instances"):
        read_instances(tmp_path)
    table = pa.table({"x": [1]}).replace_schema_metadata({"tomostat": '{"slices": [0, 4]}'})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="not a table of instances: 'shape'"):
        read_instances(tmp_path)


def test_a_table_without_slices_is_read_for_any(tmp_path):
    write_instances(tmp_path / "a.parquet", Instances.from_labels(np.eye(4, dtype=int), 7))
    assert read_metadata(tmp_path / "a.parquet").slices is None
    assert len(read_instances(tmp_path, range(7, 9))) == 1
    assert len(read_instances(tmp_path, range(4))) == 0


def test_a_truncated_table_is_told(tmp_path):
    write_instances(tmp_path / "a.parquet", Instances.from_labels(np.eye(50, dtype=int), 1))
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"a\.parquet"):
        read_instances(tmp_path / "a.parquet")


def test_tables_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="exactly one shape"):
        Instances.concatenate([Instances.empty((3, 4)), Instances.empty((3, 5))])


def test_a_slice_in_two_files_is_refused(tmp_path):
    one = Instances.from_labels(np.ones((2, 2), int), 4)
    for name in ("a", "b"):
        write_instances(tmp_path / f"{name}.parquet", one)
    with pytest.raises(ValueError, match="slice 4 is in several files"):
        read_instances(tmp_path)
