"""From instances to voxels in memory, cut into random blocks in random order: always the same labels."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from properties import examples
from stitching import graph_of_links, instances_of
from tomostat.blocks import block_grid
from tomostat.instances import Instances
from tomostat.phase import Phase
from tomostat.stitch.kernels.link import concatenate_links, link_slices, widest_gap
from tomostat.stitch.kernels.masks import Masks, final_masks
from tomostat.stitch.kernels.paint import paint_box
from tomostat.stitch.kernels.refine import refine_halo, refine_labels
from tomostat.stitch.options import StitchOptions

SHAPE = (26, 30, 34)
OPTIONS = StitchOptions(min_slices=1)


def scene(seed: int) -> tuple[Instances, np.ndarray]:
    """Detections of a few touching blobs, with faults, and the phases."""
    rng = np.random.default_rng(seed)
    seeds = np.zeros(SHAPE, np.int32)
    places = rng.integers(0, SHAPE, (9, 3))
    seeds[tuple(places.T)] = np.arange(1, 10)
    distance, nearest = ndimage.distance_transform_edt(seeds == 0, return_indices=True)
    labels = np.where(distance < rng.uniform(4, 9), seeds[tuple(nearest)], 0)
    faults = labels.copy()
    for z in range(SHAPE[0]):
        for number in np.unique(labels[z])[1:]:
            fate = rng.random()
            if fate < 0.12:
                faults[z][labels[z] == number] = 0
            elif fate < 0.2:
                right = faults[z, :, rng.integers(SHAPE[2]) :]
                right[right == number] = 20 + number
            elif fate < 0.24:
                faults[z][labels[z] > 0] = number
    noise = rng.random(SHAPE)
    phases = np.where((labels > 0) ^ (noise < 0.03), np.uint8(Phase.ACTIVE), np.uint8(Phase.CBD))
    return instances_of(faults), phases


def within(instances: Instances, start: int, stop: int) -> np.ndarray:
    return np.flatnonzero((instances.slice >= start) & (instances.slice < stop))


def stitched(
    instances: Instances, phases: np.ndarray, slabs: list[range], core: tuple[int, int, int], order: np.random.Generator
) -> np.ndarray:
    """Labels with every step done slab by slab or block by block, in a random order."""
    gap = widest_gap(OPTIONS)
    parts = {}
    for i in order.permutation(len(slabs)):
        near = within(instances, slabs[i].start, slabs[i].stop + gap + 1)
        parts[i] = link_slices(instances.take(near), slabs[i], OPTIONS)
    graph = graph_of_links(instances, concatenate_links([parts[i] for i in range(len(slabs))]), OPTIONS)
    _, particle = graph.decide(SHAPE[0], OPTIONS)
    masks = {}
    for i in order.permutation(len(slabs)):
        near = within(instances, slabs[i].start - gap - 1, slabs[i].stop + gap + 1)
        masks[i] = final_masks(instances.take(near), particle[graph.chains.track[near]], slabs[i], gap)
    drawn = [masks[i] for i in range(len(slabs))]
    whole = Masks(
        Instances.concatenate(part.instances for part in drawn),
        np.concatenate([part.particle for part in drawn]),
        np.concatenate([part.kind for part in drawn]),
    )
    labels = np.zeros(SHAPE, np.uint32)
    blocks = block_grid(SHAPE, core, (refine_halo(OPTIONS.margin),) * 3)
    for i in order.permutation(len(blocks)):
        block = blocks[i]
        refined = refine_labels(paint_box(whole, block.outer), phases[block.outer], OPTIONS.margin)
        labels[block.core] = refined[block.inner]
    return labels


@examples(12)
@given(
    st.integers(0, 10**6),
    st.lists(st.integers(1, SHAPE[0] - 1), max_size=6, unique=True),
    st.tuples(st.integers(2, 26), st.integers(2, 30), st.integers(2, 34)),
)
def test_no_cut_into_blocks_changes_a_voxel(seed: int, cuts: list[int], core: tuple[int, int, int]) -> None:
    instances, phases = scene(seed)
    rng = np.random.default_rng(seed)
    whole = stitched(instances, phases, [range(SHAPE[0])], SHAPE, rng)
    edges = [0, *sorted(cuts), SHAPE[0]]
    slabs = [range(a, b) for a, b in itertools.pairwise(edges)]
    np.testing.assert_array_equal(stitched(instances, phases, slabs, core, rng), whole)
    assert whole.any()
