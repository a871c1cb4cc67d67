"""Geometry of tracks, and the evidence between them, against counts of voxels."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from stitching import OPTIONS, graph_of, instances_of, stacks
from tomostat.stitch.kernels.link import link_slices
from tomostat.stitch.kernels.tracks import index_links, measure_sections

STACKS = stacks([0, 1, 1, 2, 3])
SPACING = (0.5, 0.2, 0.3)


@given(STACKS)
def test_volume_moments_and_extent_are_those_of_the_voxels(stack: np.ndarray) -> None:
    graph, instances = graph_of(stack, spacing=SPACING), instances_of(stack)
    tracks = graph.tracks
    for number in range(len(tracks)):
        members = np.flatnonzero(graph.chains.track == number)
        first = np.searchsorted(instances.slice, instances.slice[members])
        masks = [instances.labels(instances.slice[i]) == i - start + 1 for i, start in zip(members, first, strict=True)]
        places = [np.column_stack([np.full(m.sum(), instances.slice[i]), *np.nonzero(m)])
                  for i, m in zip(members, masks, strict=True)]  # fmt: skip
        voxels = np.concatenate(places) * SPACING
        assert tracks.volume[number] == len(voxels)
        assert tracks.sections[number] == len(members)
        assert tracks.peak[number] == max(mask.sum() for mask in masks)
        assert (tracks.first[number], tracks.last[number]) == (
            instances.slice[members[0]],
            instances.slice[members[-1]],
        )
        squares = (voxels**2).sum() + len(voxels) * (np.array(SPACING) ** 2).sum() / 12  # voxels are boxes, not points
        np.testing.assert_allclose(tracks.moments[number], [*voxels.sum(0), squares], rtol=1e-5, atol=1e-5)


@given(STACKS)
def test_candidates_hold_the_best_link_and_the_contact_of_two_tracks(stack: np.ndarray) -> None:
    graph, instances = graph_of(stack), instances_of(stack)
    links = index_links(link_slices(instances, range(len(stack)), OPTIONS), measure_sections(instances))
    track, volume = graph.chains.track, graph.tracks.volume
    beside: dict[tuple[int, int, int], int] = {}  # pixels of an instance of the smaller track above or below the larger
    best: dict[tuple[int, int], tuple[float, int]] = {}
    for k in range(len(links)):
        ends = [(int(track[i]), int(i)) for i in (links.first[k], links.second[k])]
        if ends[0][0] == ends[1][0]:
            continue
        pair = tuple(sorted(t for t, _ in ends))
        if k in graph.chains.open_links:
            evidence = 3 * float(links.iou[k]) + float(links.containment[k])
            best[pair] = max(best.get(pair, (-1.0, 0)), (evidence, -k))
        if links.gap[k] == 0:
            small = min(ends, key=lambda end: (volume[end[0]], end[0]))[1]
            beside[(*pair, small)] = max(beside.get((*pair, small), 0), int(links.overlap[k]))
    contact: dict[tuple[int, int], int] = {}
    for (a, b, _), pixels in beside.items():
        contact[a, b] = contact.get((a, b), 0) + pixels
    found = graph.candidates
    pairs = list(zip(found.a.tolist(), found.b.tolist(), strict=True))
    assert pairs == sorted({*best, *contact})
    for i, pair in enumerate(pairs):
        assert found.contact[i] == contact.get(pair, 0)
        k = -best[pair][1] if pair in best else None
        assert found.gap[i] == (-1 if k is None else links.gap[k])
        for name in ("iou", "containment", "blocked", "overlap"):
            assert getattr(found, name)[i] == (0 if k is None else getattr(links, name)[k])
