"""Tracks, the score, best-first decisions, numbering and edits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tomostat.instances import Instances
from tomostat.stitch.graph import (
    Edit,
    MergeGraph,
    as_graph,
    check_edits,
    decide_particles,
    open_graph,
    write_graph,
)
from tomostat.stitch.kernels.link import link_slices
from tomostat.stitch.kernels.merging import (
    WEIGHTS,
    Bodies,
    Candidates,
    Decision,
    Reason,
    bodies_of,
    candidates_of,
    decide,
    sphere_likeness,
)
from tomostat.stitch.kernels.tracks import Chains, Sections, chain, cut_waists, link_rows, number_chains, sections_of
from tomostat.stitch.options import StitchOptions

settings.register_profile("numba", deadline=None)  # the first call compiles
settings.load_profile("numba")

OPTIONS = StitchOptions()
UNIT = (1.0, 1.0, 1.0)


def ball(shape: tuple[int, int, int], centre: tuple[float, float, float], radius: float) -> np.ndarray:
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    return (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= radius**2


def instances_of(stack: np.ndarray) -> Instances:
    return Instances.concatenate([Instances.from_labels(image, z) for z, image in enumerate(stack)])


def graph_of(stack: np.ndarray, options: StitchOptions = OPTIONS) -> tuple[Sections, Chains, Bodies, Candidates]:
    instances = instances_of(stack)
    sections = sections_of(instances)
    links = link_rows(link_slices(instances, range(len(stack)), options), sections)
    chains = chain(sections, links, options)
    bodies = bodies_of(sections, chains, UNIT)
    return sections, chains, bodies, candidates_of(sections, links, chains, bodies)


def particles_of(stack: np.ndarray, edits: tuple[Edit, ...] = (), min_slices: int = 1) -> tuple[np.ndarray, Decision]:
    """Particle of every instance."""
    options = StitchOptions(min_slices=min_slices)
    sections, chains, bodies, candidates = graph_of(stack, options)
    decision, particle = decide_particles(sections, chains.track, bodies, candidates, len(stack), options, edits)
    return particle[chains.track], decision


@given(npst.arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3)))
def test_moments_are_those_of_pixels(image: np.ndarray) -> None:
    instances = Instances.from_labels(image, 0)
    sections = sections_of(instances)
    for i, moments in enumerate(sections.moments):
        y, x = np.nonzero(instances.labels(0) == i + 1)
        expected = [y.mean(), x.mean(), y.var() + 1 / 12, ((y - y.mean()) * (x - x.mean())).mean(), x.var() + 1 / 12]
        np.testing.assert_allclose(moments, expected, atol=1e-5)
        assert sections.position[i] == y[0] * image.shape[1] + x[0]


def test_a_ball_has_the_sphere_likeness_of_a_ball() -> None:
    r = 20
    stack = ball((2 * r + 3,) * 3, (r + 1,) * 3, r).astype(int)
    bodies = bodies_of(*graph_of(stack)[:2], (0.5, 0.5, 0.5))
    constant = -np.log(4 / 3 * np.pi * (5 / 3) ** 1.5) + np.log(0.5**3)
    whole = sphere_likeness(bodies.volume.sum(), bodies.moments.sum(0))
    assert whole + constant == pytest.approx(0, abs=0.01)


def test_mass_inside_a_ball_raises_its_likeness_and_mass_outside_lowers_it() -> None:
    """For a small mass at distance d from the centre of a ball of radius R, d ln q / m is 2.5 (1 - d^2 / R^2)."""
    radius, mass = 10.0, 1e-6
    volume = 4 / 3 * np.pi * radius**3
    sums = np.array([0, 0, 0, volume * 3 / 5 * radius**2])
    for distance in (0.0, 5.0, 10.0, 20.0):
        added = volume * mass * np.array([distance, 0, 0, distance**2])
        gain = sphere_likeness(volume * (1 + mass), sums + added) - sphere_likeness(volume, sums)
        assert gain / mass == pytest.approx(2.5 * (1 - distance**2 / radius**2), abs=1e-3)


def test_a_chain_of_two_balls_is_cut_at_its_waist() -> None:
    heights = np.arange(-9.5, 10)
    area = np.concatenate([np.pi * (10**2 - heights**2)] * 2).astype(np.int32)
    following = np.append(np.arange(1, 40), -1).astype(np.int32)
    assert cut_waists(following, area).tolist() == [19]
    assert cut_waists(following[20:] - 20, area[20:]).size == 0


def test_the_least_section_goes_where_its_area_continues() -> None:
    area = np.array([300, 200, 100, 60, 160, 260, 360], np.int32)  # 60 continues the rise below it
    following = np.append(np.arange(1, 7), -1).astype(np.int32)
    assert cut_waists(following, area).tolist() == [2]


def test_tracks_are_numbered_by_their_first_instance() -> None:
    following = np.array([2, 4, -1, -1, 5, -1], np.int32)
    track, count = number_chains(following)
    assert track.tolist() == [0, 1, 0, 2, 1, 1]
    assert count == 3


def test_missed_slices_are_bridged() -> None:
    stack = ball((41, 41, 41), (20, 20, 20), 15).astype(int)
    stack[[12, 20, 21]] = 0
    particle, _ = particles_of(stack)
    assert set(particle) == {1}


def test_no_id_is_used_again_after_empty_slices() -> None:
    shape = (60, 41, 41)
    stack = (ball(shape, (12, 20, 20), 10) | ball(shape, (45, 20, 20), 10)).astype(int)
    particle, _ = particles_of(stack)
    assert set(particle) == {1, 2}


def test_stacked_balls_that_touch_stay_two() -> None:
    shape = (60, 41, 41)
    stack = (ball(shape, (15.3, 20, 20), 14.5) | ball(shape, (43.4, 21, 20), 14)).astype(int)
    sections, *_ = graph_of(stack)
    particle, _ = particles_of(stack)
    assert set(particle) == {1, 2}
    assert set(particle[sections.slice < 29]) == {1}
    assert set(particle[sections.slice > 30]) == {2}


def test_pieces_of_a_slice_join_the_particle() -> None:
    stack = ball((41, 41, 41), (20, 20, 20), 15).astype(int)
    stack[17, :, 23:] *= 2
    stack[24:27, 15:, :] *= 3
    particle, _ = particles_of(stack)
    assert set(particle) == {1}


def test_a_fused_slice_does_not_join_two_particles() -> None:
    shape = (41, 41, 70)
    stack = ball(shape, (20, 20, 18), 15) + 2 * ball(shape, (20, 20, 50), 15).astype(int)
    stack[20][stack[20] > 0] = 1
    particle, _ = particles_of(stack)
    sections, *_ = graph_of(stack)
    assert len(set(particle[sections.slice != 20])) == 2


def test_a_u_shape_is_one_particle_where_its_arms_meet() -> None:
    stack = np.zeros((30, 40, 60), int)
    stack[:, 5:35, 5:20] = 1
    stack[:, 5:35, 25:40] = 2
    stack[24:, 5:35, 5:40] = 3
    particle, decision = particles_of(stack)
    assert len(set(particle)) <= 2  # arms as high as they are wide are judged by shape, never lost
    assert np.isfinite(decision.score).all()


def test_a_particle_inside_another_in_the_next_slice_stays_its_own() -> None:
    """Containment of a small section in a large one does not steal the large one's link."""
    shape = (50, 60, 60)
    stack = ball(shape, (14, 26, 26), 13).astype(int)
    small = ball(shape, (33, 30, 30), 7)
    stack[small & (stack == 0)] = 2
    assert set(particles_of(stack)[0]) == {1, 2}


def test_particles_seen_in_few_slices_are_dropped_unless_the_border_cuts_them() -> None:
    stack = np.zeros((6, 20, 20), int)
    stack[0, 2:6, 2:6] = 1
    stack[3, 12:16, 12:16] = 1
    stack[2:5, 2:6, 12:16] = 2
    assert particles_of(stack, min_slices=2)[0].tolist() == [1, 2, 2, 0, 2]


@settings(max_examples=80)
@given(st.data())
def test_decisions_equal_a_plain_best_first(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 7))
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    chosen = sorted(data.draw(st.sets(st.sampled_from(pairs), min_size=1)))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    e = len(chosen)
    centre = rng.uniform(0, 30, (n, 3))
    volume = rng.integers(5, 500, n).astype(float)
    spread = volume ** (2 / 3)
    first = rng.integers(0, 20, n).astype(np.int32)
    bodies = Bodies(
        volume=volume,
        moments=np.column_stack([volume[:, None] * centre, volume * ((centre**2).sum(1) + spread)]),
        first=first,
        last=(first + rng.integers(0, 9, n)).astype(np.int32),
        sections=np.ones(n, np.int32),
        peak=rng.integers(5, 60, n).astype(np.int32),
        doubtful=rng.random(n) < 0.2,
    )
    candidates = Candidates(
        a=np.array([p[0] for p in chosen], np.int32),
        b=np.array([p[1] for p in chosen], np.int32),
        iou=rng.random(e).astype(np.float32),
        containment=rng.random(e).astype(np.float32),
        gap=np.zeros(e, np.int8),
        blocked=np.zeros(e, np.float32),
        overlap=rng.integers(0, 60, e).astype(np.int32),
        contact=rng.integers(0, 60, e).astype(np.int32),
    )
    decision = decide(bodies, candidates)
    assert decision.root.tolist() == plain_best_first(bodies, candidates)


def plain_best_first(bodies: Bodies, candidates: Candidates) -> list[int]:
    """Join the best candidate, score all anew, until none is positive; doubtful tracks last, one particle each."""
    groups = [{i} for i in range(len(bodies))]

    def group(i: int) -> set[int]:
        return next(g for g in groups if i in g)

    def score(e: int) -> float:
        c, d = (sorted(group(int(t))) for t in (candidates.a[e], candidates.b[e]))
        v, w = bodies.volume[c].sum(), bodies.volume[d].sum()
        if v < w:
            c, d, v, w = d, c, w, v
        m = w / (v + w)
        joint, larger = bodies.moments[c + d].sum(0), bodies.moments[c].sum(0)
        gain = (sphere_likeness(v + w, joint) - sphere_likeness(v, larger)) / m
        spans = [(bodies.first[g].min(), bodies.last[g].max()) for g in (c, d)]
        common = min(s[1] for s in spans) - max(s[0] for s in spans) + 1
        area = max(candidates.overlap[e], candidates.contact[e])
        terms = [
            candidates.iou[e],
            candidates.containment[e],
            min(1, candidates.contact[e] / w),
            np.clip(gain, -3, 1.5) * m / (m + 0.02) * (v + w) / (v + w + 200),
            max(0, common) / (min(s[1] - s[0] for s in spans) + 1),
            1 - np.sqrt(min(1, area / min(bodies.peak[c].max(), bodies.peak[d].max()))),
            1,
        ]
        return float(np.dot(WEIGHTS, terms))

    doubtful = bodies.doubtful
    for late in (False, True):
        while True:
            open_ = []
            for e in range(len(candidates)):
                a, b = int(candidates.a[e]), int(candidates.b[e])
                alone = any(doubtful[t] and len(group(t)) == 1 for t in (a, b))
                if group(a) is not group(b) and (doubtful[a] or doubtful[b]) == late and (alone or not late):
                    open_.append((-score(e), e))
            if not open_ or min(open_)[0] >= 0:
                break
            e = min(open_)[1]
            a, b = group(int(candidates.a[e])), group(int(candidates.b[e]))
            groups.remove(b)
            a |= b
    return [min(group(i)) for i in range(len(bodies))]


def three_balls() -> np.ndarray:
    shape = (40, 40, 120)
    return sum((i + 1) * ball(shape, (20, 20, 20 + 40 * i), 15) for i in range(3))  # type: ignore[return-value]


def test_joins_and_cuts_of_a_person_hold() -> None:
    stack = three_balls()
    plain, _ = particles_of(stack)
    assert set(plain) == {1, 2, 3}
    joined, _ = particles_of(stack, (Edit("join", 1, 3),))
    assert set(joined) == {1, 2}
    np.testing.assert_array_equal(joined == 1, (plain == 1) | (plain == 3))


def test_a_cut_parts_what_was_joined_and_leaves_the_rest_its_numbers() -> None:
    stack = three_balls()
    stack[18:23, :, :41] = 0  # the first ball falls into two tracks that the graph joins
    plain, _ = particles_of(stack)
    assert set(plain) == {1, 2, 3}
    sections, chains, _, _ = graph_of(stack)
    halves = [chains.track[np.flatnonzero((plain == 1) & (sections.slice == z))[0]] + 1 for z in (15, 25)]
    assert halves[0] != halves[1]
    cut, _ = particles_of(stack, (Edit("cut", int(halves[0]), int(halves[1])),))
    np.testing.assert_array_equal(cut[plain > 1], plain[plain > 1])
    assert set(cut[(plain == 1) & (sections.slice < 18)]) == {1}
    assert set(cut[(plain == 1) & (sections.slice > 22)]) == {4}


def test_edits_that_a_third_track_makes_contradict_are_refused() -> None:
    stack = three_balls()
    stack[18:23, :, :41] = 0
    sections, chains, _, _ = graph_of(stack)
    tracks = [int(chains.track[np.flatnonzero(sections.slice == z)[0]]) + 1 for z in (15, 25)]
    other = int(chains.track[np.flatnonzero(sections.slice == 20)[-1]]) + 1
    edits = [Edit("join", tracks[0], other), Edit("join", tracks[1], other)]
    assert len(set(particles_of(stack, tuple(edits))[0])) == 2
    with pytest.raises(ValueError, match="join"):
        particles_of(stack, (*edits, Edit("cut", tracks[0], tracks[1])))


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ([Edit("cut", 1, 9)], "no track 9"),
        ([Edit("join", 0, 1)], "no track 0"),
        ([Edit("cut", 2, 2)], "two different"),
        ([Edit("melt", 1, 2)], "melt"),  # type: ignore[arg-type]
        ([Edit("join", 1, 2), Edit("join", 2, 3), Edit("cut", 3, 1)], "other edits join"),
    ],
)
def test_edits_that_cannot_be_are_refused(edits: list[Edit], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_edits(edits, 3)


def test_the_graph_is_written_read_and_shown_as_networkx(tmp_path: Path) -> None:
    stack = three_balls()
    stack[20, :, 20:60] = 0
    sections, chains, bodies, candidates = graph_of(stack)
    decision, particle = decide_particles(sections, chains.track, bodies, candidates, len(stack), OPTIONS)
    edits = (Edit("join", 1, 2),)
    graph = as_graph(bodies, candidates, decision, particle, edits)
    write_graph(tmp_path, graph)
    again = open_graph(tmp_path)
    assert again.edits == edits
    shown = again.to_networkx()
    assert set(shown.nodes) == set(range(1, len(bodies) + 1))
    assert shown.nodes[1]["voxels"] == bodies.volume[0]
    reasons = {str(reason.name).lower() for reason in Reason}
    for a, b, edge in shown.edges(data=True):
        assert edge["reason"] in reasons
        assert edge["joined"] == (again.tracks.particle[a] == again.tracks.particle[b]) or edge["reason"] == "join_edit"
    assert again.particle_tracks(1)[0] == 1


def test_a_missing_or_damaged_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="tomostat stitch"):
        open_graph(tmp_path)
    (tmp_path / "tracks.parquet").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="damaged"):
        open_graph(tmp_path)


def test_an_empty_volume_has_an_empty_graph() -> None:
    particle, decision = particles_of(np.zeros((5, 8, 8), int))
    assert particle.size == 0
    assert decision.root.size == 0
    assert isinstance(as_graph(*graph_of(np.zeros((5, 8, 8), int))[2:], decision, particle), MergeGraph)
