"""Final masks: missed slices filled, shared masks divided, painted voxels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.ndimage import distance_transform_edt

from tomostat.instances import Instances
from tomostat.stitch.kernels.masks import Kind, Masks, blend, final_masks, mask_depth
from tomostat.stitch.kernels.paint import paint_box

settings.register_profile("numba", deadline=None)  # the first call compiles
settings.load_profile("numba")

GAP = 5


def instances_of(stack: np.ndarray) -> tuple[Instances, np.ndarray]:
    """Instances of a stack of particle labels, and the particle of each."""
    parts = [Instances.from_labels(image, z) for z, image in enumerate(stack)]
    labels = [image.reshape(-1)[p.run_start[p.offset[:-1]]] for image, p in zip(stack, parts, strict=True)]
    return Instances.concatenate(parts), np.concatenate(labels).astype(np.uint32)


def voxels(masks: Masks, shape: tuple[int, ...]) -> np.ndarray:
    return paint_box(masks, tuple(slice(0, n) for n in shape))  # type: ignore[arg-type]


def ball(shape: tuple[int, int, int], centre: tuple[float, float, float], radius: float) -> np.ndarray:
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    return (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= radius**2


stacks = npst.arrays(
    np.int32,
    st.tuples(st.integers(1, 9), st.integers(1, 7), st.integers(1, 7)),
    elements=st.sampled_from([0, 0, 1, 2, 5]),
)


@given(stacks)
def test_without_gaps_masks_are_the_detections(stack: np.ndarray) -> None:
    instances, particle = instances_of(stack)
    masks = final_masks(instances, particle, range(len(stack)), 0)
    np.testing.assert_array_equal(voxels(masks, stack.shape), stack)
    assert not masks.kind.any()


@settings(max_examples=60)
@given(stacks, st.integers(1, 4))
def test_masks_are_the_same_for_any_block_of_slices(stack: np.ndarray, step: int) -> None:
    instances, particle = instances_of(stack)
    whole = final_masks(instances, particle, range(len(stack)), GAP).to_table()
    parts = []
    for z in range(0, len(stack), step):
        near = (instances.slice >= z - GAP - 1) & (instances.slice < z + step + GAP + 1)
        slices = range(z, min(z + step, len(stack)))
        parts.append(final_masks(instances.take(near), particle[near], slices, GAP).to_table())
    assert [row for part in parts for row in part.to_pylist()] == whole.to_pylist()


@given(stacks)
def test_masks_never_overlap_and_keep_what_was_detected(stack: np.ndarray) -> None:
    instances, particle = instances_of(stack)
    masks = final_masks(instances, particle, range(len(stack)), GAP)
    image = voxels(masks, stack.shape)
    assert masks.instances.area.sum() == np.count_nonzero(image)
    assert (image[stack > 0] > 0).all()


def test_a_missed_slice_gets_the_shape_between() -> None:
    shape = (41, 41, 41)
    stack = ball(shape, (20, 20, 20), 15).astype(int)
    missed = stack.copy()
    missed[[10, 11]] = 0
    masks = final_masks(*instances_of(missed), range(41), GAP)
    image = voxels(masks, shape)
    for z in (10, 11):
        assert np.count_nonzero(image[z] != stack[z]) < 0.08 * np.count_nonzero(stack[z])
    assert set(masks.instances.slice[masks.kind == Kind.FILLED]) == {10, 11}
    np.testing.assert_array_equal(np.delete(image, [10, 11], 0), np.delete(stack, [10, 11], 0))


def test_wider_gaps_stay_open() -> None:
    stack = np.zeros((8, 9, 9), int)
    stack[[0, 7], 2:7, 2:7] = 1
    assert len(final_masks(*instances_of(stack), range(8), GAP).particle) == 2
    assert len(final_masks(*instances_of(stack), range(8), GAP + 1).particle) == 8


def test_a_mask_of_two_particles_is_divided_between_them() -> None:
    shape = (41, 41, 70)
    truth = ball(shape, (20, 20, 20), 15) + 2 * ball(shape, (20, 20, 50), 15).astype(int)
    fused = truth.copy()
    fused[18][truth[18] > 0] = 1
    masks = final_masks(*instances_of(fused), range(41), GAP)
    image = voxels(masks, shape)
    np.testing.assert_array_equal(image > 0, truth > 0)
    assert np.count_nonzero(image[18] != truth[18]) <= 4
    assert set(masks.instances.slice[masks.kind == Kind.DIVIDED]) == {18}


def test_a_missed_particle_never_takes_pixels_of_another() -> None:
    stack = np.zeros((5, 30, 30), int)
    stack[:, 5:15, 5:15] = 1
    stack[:, 5:15, 15:25] = 2
    stack[2][stack[2] == 1] = 0
    stack[2, 5:15, 12:15] = 2  # the neighbour is larger there
    image = voxels(final_masks(*instances_of(stack), range(5), GAP), stack.shape)
    assert (image[2, 5:15, 12:25] == 2).all()
    assert (image[2, 5:15, 5:12] == 1).all()


def test_detections_of_no_particle_leave_room() -> None:
    stack = np.zeros((3, 12, 12), int)
    stack[:, 3:9, 3:9] = 1
    instances, particle = instances_of(stack)
    particle[1] = 0
    image = voxels(final_masks(instances, particle, range(3), GAP), stack.shape)
    np.testing.assert_array_equal(image, stack)


def test_depth_of_a_mask_counts_pixels_to_its_edge() -> None:
    image = np.zeros((20, 20), int)
    image[5:14, 4:17] = 1
    shape = mask_depth(Instances.from_labels(image, 0), [0])
    assert shape.box == (slice(4, 15), slice(3, 18))
    assert shape.depth.max() == 5
    assert shape.depth[0, 7] == -1


@given(npst.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_depth_is_the_exact_distance_to_the_other_kind(inner: np.ndarray) -> None:
    mask = np.pad(inner, 1)
    mask[1, 1] = True
    expected = distance_transform_edt(mask) - distance_transform_edt(~mask)
    np.testing.assert_allclose(mask_depth(Instances.from_labels(mask.astype(int), 0), [0]).depth,
                               expected[tuple(slice(a, b) for a, b in _around(mask))], rtol=1e-6)  # fmt: skip


def _around(mask: np.ndarray) -> list[tuple[int, int]]:
    """Box of a mask and one pixel around it."""
    return [(int(k.min()) - 1, int(k.max()) + 2) for k in np.nonzero(mask)]


def test_halfway_between_two_disks_lies_the_disk_of_mean_radius() -> None:
    y, x = np.ogrid[:81, :81]
    small, large = (((y - 40) ** 2 + (x - 40) ** 2 <= r * r).astype(int) for r in (10, 30))
    first, second = (mask_depth(Instances.from_labels(image, 0), [0]) for image in (small, large))
    middle = blend(first, second, 0.5)
    assert np.sqrt((middle.depth > 0).sum() / np.pi) == pytest.approx(20, abs=0.5)


@given(stacks, st.data())
def test_a_painted_box_is_the_box_of_the_painted_volume(stack: np.ndarray, data: st.DataObject) -> None:
    masks = final_masks(*instances_of(stack), range(len(stack)), 0)
    starts = [data.draw(st.integers(0, n - 1)) for n in stack.shape]
    stops = [data.draw(st.integers(a + 1, n)) for a, n in zip(starts, stack.shape, strict=True)]
    box = tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))
    np.testing.assert_array_equal(paint_box(masks, box), stack[box])  # type: ignore[arg-type]


def test_masks_survive_the_way_through_a_table() -> None:
    stack = np.zeros((4, 6, 6), int)
    stack[:, 1:4, 2:5] = 7
    masks = final_masks(*instances_of(stack), range(4), GAP)
    again = Masks.from_table(masks.to_table(), (6, 6))
    np.testing.assert_array_equal(voxels(again, stack.shape), stack)
    assert again.kind.tolist() == [0] * 4
