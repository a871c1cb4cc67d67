"""Evidence that particles are right, and the confidence that follows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shapes import ball_at
from stitching import OPTIONS, graph_of, graph_of_links, instances_of, three_balls
from tomostat.stitch import Edit
from tomostat.stitch.kernels.confidence import LEAST_ROUND, ParticleEvidence, particle_evidence
from tomostat.stitch.kernels.link import link_slices


def evidence_of(stack: np.ndarray, *edits: Edit) -> ParticleEvidence:
    """Evidence of the particles of a stack."""
    graph = graph_of(stack)
    return graph.evidence(*graph.decide(len(stack), OPTIONS, edits))


def test_a_ball_is_round_whole_and_beyond_doubt():
    found = evidence_of(three_balls())
    assert found.particle.tolist() == [1, 2, 3]
    np.testing.assert_allclose(found.roundness, 0, atol=0.01)
    np.testing.assert_array_equal(found.parts, 1)
    np.testing.assert_array_equal(found.score, 1)
    assert found.doubt.max() < 0.02
    assert found.unevenness.max() < 0.05, "the areas of its sections are a parabola"
    np.testing.assert_array_equal(found.missed, 0)
    assert found.confidence.min() > 0.98


def test_half_a_ball_and_a_rod_are_less_round():
    ball = ball_at((40, 40, 40), (20, 20, 20), 15)
    half = np.where(np.indices(ball.shape)[2] < 20, ball, 0)
    rod = np.zeros((40, 40, 40), int)
    rod[:, 15:20, 15:20] = 1
    whole, cut, long = (float(evidence_of(stack.astype(int)).roundness[0]) for stack in (ball, half, rod))
    assert whole > cut > long > LEAST_ROUND
    spread = 15**2 * np.array([1 / 5, 1 / 5, 1 / 5 - 9 / 64])  # second moments of a half ball
    assert cut == pytest.approx(np.log(0.5) - 1.5 * np.log(spread.sum() / (0.6 * 15**2)), abs=0.05)


def test_roundness_is_measured_in_micrometers():
    grid = np.indices((21, 61, 61)) - np.array([10, 30, 30])[:, None, None, None]
    ball = (np.square(grid * np.array([3.0, 1.0, 1.0])[:, None, None, None]).sum(axis=0) <= 25**2).astype(int)
    instances = instances_of(ball)
    for spacing, low, high in (((3.0, 1.0, 1.0), -0.02, 0.0), ((1.0, 1.0, 1.0), -1.0, -0.1)):
        graph = graph_of_links(instances, link_slices(instances, range(21), OPTIONS), spacing=spacing)
        decision, particle = graph.decide(21, OPTIONS)
        found = particle_evidence(
            graph.sections, graph.chains.track, graph.tracks, graph.candidates, decision, particle, spacing
        )
        assert low <= found.roundness[0] <= high


def test_scores_count_by_their_pixels():
    instances = instances_of(ball_at((40, 40, 40), (20, 20, 20), 15).astype(int))
    scores = np.where(instances.area > np.median(instances.area), 1.0, 0.5).astype(np.float32)
    instances = replace(instances, score=scores)
    graph = graph_of_links(instances, link_slices(instances, range(40), OPTIONS))
    found = graph.evidence(*graph.decide(40, OPTIONS))
    assert found.score[0] == pytest.approx(np.average(scores, weights=instances.area))
    assert found.confidence[0] < evidence_of(three_balls()).confidence.min()


def test_pieces_in_a_slice_and_doubtful_decisions_lower_the_confidence():
    stack = ball_at((40, 40, 40), (20, 20, 20), 15).astype(int)
    plain = evidence_of(stack)
    stack[14:18][:, :, 20:] *= 2  # four slices show the ball in two parts
    broken = evidence_of(stack)
    assert len(broken.particle) == 1
    assert 1.05 < broken.parts[0] < 1.2
    assert broken.doubt[0] > plain.doubt[0]
    assert broken.confidence[0] < plain.confidence[0]


def test_slices_that_miss_a_particle_and_uneven_sections() -> None:
    """Against a fit of numpy, of two balls that hang together."""
    stack = np.zeros((60, 40, 40), int)
    stack[ball_at(stack.shape, (15, 20, 20), 12) | ball_at(stack.shape, (36, 20, 20), 12)] = 1
    stack[10] = 0
    found = evidence_of(stack)
    areas = stack.sum(axis=(1, 2))
    (slices,) = np.nonzero(areas)
    rest = areas[slices] - np.polyval(np.polyfit(slices, areas[slices], 2), slices)
    assert found.unevenness[0] == pytest.approx(np.sqrt(np.mean(rest**2)) / areas[slices].mean())
    assert found.missed[0] == pytest.approx(1 - len(slices) / (slices[-1] - slices[0] + 1))
    plain = evidence_of(ball_at((40, 40, 40), (20, 20, 20), 15).astype(int))
    assert found.confidence[0] < plain.confidence[0]


def test_what_a_person_decided_is_beyond_doubt():
    stack = np.zeros((30, 40, 40), int)
    stack[:, 12:28, 12:28] = 1
    stack[15:, 12:28, 12:28] = 2
    stack[13:17] = 0  # a gap that is decided in the graph
    graph = graph_of(stack)
    assert len(graph.candidates) == 1
    doubtful = evidence_of(stack)
    assert doubtful.doubt.max() > 0.01
    for action in ("join", "cut"):
        decided = evidence_of(stack, Edit(action, 1, 2))
        assert len(decided.particle) == (1 if action == "join" else 2)
        by_hand = (len(decided.particle) == 1) != (len(doubtful.particle) == 1)
        assert decided.doubt.max() == 0 or not by_hand


def test_without_particles_there_is_nothing_to_tell():
    found = evidence_of(np.zeros((5, 8, 8), int))
    assert len(found.particle) == len(found.confidence) == 0
