"""Particles of stacks with known faults, their numbers, and what corrections change."""

from __future__ import annotations

import numpy as np
import pytest

from shapes import ball_at
from stitching import graph_of, particles_of, three_balls
from tomostat.stitch import Edit


def test_missed_slices_are_bridged() -> None:
    stack = ball_at((41, 41, 41), (20, 20, 20), 15).astype(int)
    stack[[12, 20, 21]] = 0
    particle, _ = particles_of(stack)
    assert set(particle) == {1}


def test_no_id_is_used_again_after_empty_slices() -> None:
    shape = (60, 41, 41)
    stack = (ball_at(shape, (12, 20, 20), 10) | ball_at(shape, (45, 20, 20), 10)).astype(int)
    particle, _ = particles_of(stack)
    assert set(particle) == {1, 2}


def test_stacked_balls_that_touch_stay_two() -> None:
    shape = (60, 41, 41)
    stack = (ball_at(shape, (15.3, 20, 20), 14.5) | ball_at(shape, (43.4, 21, 20), 14)).astype(int)
    sections = graph_of(stack).sections
    particle, _ = particles_of(stack)
    assert set(particle) == {1, 2}
    assert set(particle[sections.slice < 29]) == {1}
    assert set(particle[sections.slice > 30]) == {2}


def test_pieces_of_a_slice_join_the_particle() -> None:
    stack = ball_at((41, 41, 41), (20, 20, 20), 15).astype(int)
    stack[17, :, 23:] *= 2
    stack[24:27, 15:, :] *= 3
    particle, _ = particles_of(stack)
    assert set(particle) == {1}


def test_a_fused_slice_does_not_join_two_particles() -> None:
    shape = (41, 41, 70)
    stack = ball_at(shape, (20, 20, 18), 15) + 2 * ball_at(shape, (20, 20, 50), 15).astype(int)
    stack[20][stack[20] > 0] = 1
    particle, _ = particles_of(stack)
    sections = graph_of(stack).sections
    assert len(set(particle[sections.slice != 20])) == 2


def test_a_u_shape_is_one_particle_where_its_arms_meet() -> None:
    stack = np.zeros((30, 40, 60), int)
    stack[:, 5:35, 5:20] = 1
    stack[:, 5:35, 25:40] = 2
    stack[24:, 5:35, 5:40] = 3
    particle, decision = particles_of(stack)
    assert len(set(particle)) <= 2  # the shape decides whether arms as high as they are wide are one particle
    assert np.isfinite(decision.score).all()


def test_a_particle_inside_another_in_the_next_slice_stays_its_own() -> None:
    """Containment of a small section in a large one does not steal the large one's link."""
    shape = (50, 60, 60)
    stack = ball_at(shape, (14, 26, 26), 13).astype(int)
    small = ball_at(shape, (33, 30, 30), 7)
    stack[small & (stack == 0)] = 2
    assert set(particles_of(stack)[0]) == {1, 2}


def test_particles_seen_in_few_slices_are_dropped_unless_the_border_cuts_them() -> None:
    stack = np.zeros((6, 20, 20), int)
    stack[0, 2:6, 2:6] = 1
    stack[3, 12:16, 12:16] = 1
    stack[2:5, 2:6, 12:16] = 2
    assert particles_of(stack, min_slices=2)[0].tolist() == [1, 2, 2, 0, 2]


def test_a_join_brings_two_particles_together() -> None:
    stack = three_balls()
    plain, _ = particles_of(stack)
    assert set(plain) == {1, 2, 3}
    joined, _ = particles_of(stack, (Edit("join", 1, 3),))
    assert set(joined) == {1, 2}
    np.testing.assert_array_equal(joined == 1, (plain == 1) | (plain == 3))


def test_a_cut_separates_what_was_joined_and_other_numbers_stay() -> None:
    stack = three_balls()
    stack[18:23, :, :41] = 0  # the first ball falls into two tracks that the graph joins
    plain, _ = particles_of(stack)
    assert set(plain) == {1, 2, 3}
    graph = graph_of(stack)
    sections, track = graph.sections, graph.chains.track
    halves = [track[np.flatnonzero((plain == 1) & (sections.slice == z))[0]] + 1 for z in (15, 25)]
    assert halves[0] != halves[1]
    cut, _ = particles_of(stack, (Edit("cut", int(halves[0]), int(halves[1])),))
    np.testing.assert_array_equal(cut[plain > 1], plain[plain > 1])
    assert set(cut[(plain == 1) & (sections.slice < 18)]) == {1}
    assert set(cut[(plain == 1) & (sections.slice > 22)]) == {4}


def test_edits_that_contradict_by_way_of_a_third_track_are_refused() -> None:
    stack = three_balls()
    stack[18:23, :, :41] = 0
    graph = graph_of(stack)
    sections, track = graph.sections, graph.chains.track
    tracks = [int(track[np.flatnonzero(sections.slice == z)[0]]) + 1 for z in (15, 25)]
    other = int(track[np.flatnonzero(sections.slice == 20)[-1]]) + 1
    edits = [Edit("join", tracks[0], other), Edit("join", tracks[1], other)]
    assert len(set(particles_of(stack, tuple(edits))[0])) == 2
    with pytest.raises(ValueError, match="join"):
        particles_of(stack, (*edits, Edit("cut", tracks[0], tracks[1])))


def test_an_empty_volume_has_no_particle() -> None:
    particle, decision = particles_of(np.zeros((5, 8, 8), int))
    assert particle.size == 0
    assert decision.root.size == 0
