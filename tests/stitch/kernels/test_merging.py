"""The score of candidates, and best-first decisions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import examples
from shapes import ball_at
from stitching import graph_of, particles_of
from tomostat.stitch.kernels.candidates import LINK_WEIGHTS, Candidates, TrackGeometry
from tomostat.stitch.kernels.merging import CONSTANT, ROUNDER, TERM_WEIGHTS, decide, sphere_likeness


def test_a_ball_has_the_sphere_likeness_of_a_ball() -> None:
    r = 20
    stack = ball_at((2 * r + 3,) * 3, (r + 1,) * 3, r).astype(int)
    tracks = graph_of(stack, spacing=(0.5, 0.5, 0.5)).tracks
    constant = -np.log(4 / 3 * np.pi * (5 / 3) ** 1.5) + np.log(0.5**3)
    whole = sphere_likeness(tracks.volume.sum(), tracks.moments.sum(0))
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


@examples(80)
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
    tracks = TrackGeometry(
        volume=volume,
        moments=np.column_stack([volume[:, None] * centre, volume * ((centre**2).sum(1) + spread)]),
        first=first,
        last=(first + rng.integers(0, 9, n)).astype(np.int32),
        sections=np.ones(n, np.int32),
        peak=rng.integers(5, 60, n).astype(np.int32),
        ambiguous=rng.random(n) < 0.2,
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
    decision = decide(tracks, candidates)
    assert decision.root.tolist() == plain_best_first(tracks, candidates)


def plain_best_first(tracks: TrackGeometry, candidates: Candidates) -> list[int]:
    """Join the best candidate, score all anew, until none is positive; ambiguous tracks last, one particle each."""
    groups = [{i} for i in range(len(tracks))]

    def group(i: int) -> set[int]:
        return next(g for g in groups if i in g)

    def evidence(e: int) -> list[float]:
        c, d = (sorted(group(int(t))) for t in (candidates.a[e], candidates.b[e]))
        v, w = tracks.volume[c].sum(), tracks.volume[d].sum()
        if v < w:
            c, d, v, w = d, c, w, v
        m = w / (v + w)
        joint, larger = tracks.moments[c + d].sum(0), tracks.moments[c].sum(0)
        gain = (sphere_likeness(v + w, joint) - sphere_likeness(v, larger)) / m
        spans = [(tracks.first[g].min(), tracks.last[g].max()) for g in (c, d)]
        common = min(s[1] for s in spans) - max(s[0] for s in spans) + 1
        area = max(candidates.overlap[e], candidates.contact[e])
        return [
            candidates.iou[e],
            candidates.containment[e],
            min(1, candidates.contact[e] / w),
            np.clip(gain, -3, 1.5) * m / (m + 0.02) * (v + w) / (v + w + 200),
            max(0, common) / (min(s[1] - s[0] for s in spans) + 1),
            1 - np.sqrt(min(1, area / min(tracks.peak[c].max(), tracks.peak[d].max()))),
            1,
        ]

    ambiguous, refused = tracks.ambiguous, set()
    for late in (False, True):
        while True:
            open_ = []
            for e in range(len(candidates)):
                a, b = int(candidates.a[e]), int(candidates.b[e])
                if group(a) is not group(b) and (ambiguous[a] or ambiguous[b]) == late and e not in refused:
                    weights = [*LINK_WEIGHTS, *TERM_WEIGHTS, CONSTANT]
                    open_.append((-float(np.dot(weights, evidence(e))), e))
            if not open_ or min(open_)[0] >= 0:
                break
            e = min(open_)[1]
            a, b = int(candidates.a[e]), int(candidates.b[e])
            alone = any(ambiguous[t] and len(group(t)) == 1 for t in (a, b))
            if late and not alone and evidence(e)[3] <= ROUNDER:
                refused.add(e)
                continue
            first, second = group(a), group(b)
            groups.remove(second)
            first |= second
    return [min(group(i)) for i in range(len(tracks))]


@pytest.mark.parametrize("centre", [20, 0], ids=["whole", "cut by the border"])
def test_a_cracked_ball_under_a_mask_of_all_of_it_stays_one(centre: int) -> None:
    stack = ball_at((41, 41, 41), (20, centre, 20), 16).astype(np.int32)
    stack[20:, :, 21:] *= 2
    stack[20:, :, 19:22] = 0
    particle, _ = particles_of(stack)
    assert set(particle) == {1}


def test_two_balls_under_a_mask_of_both_stay_two() -> None:
    left, right = (ball_at((41, 41, 70), (20, 20, x), 15) for x in (18, 50))
    stack = np.where(left, 1, np.where(right, 2, 0)).astype(np.int32)
    stack[12:15][stack[12:15] > 0] = 3
    particle, _ = particles_of(stack)
    lower = particles_of(stack[15:])[0]
    assert len(set(lower)) == 2
    assert len(set(particle)) >= 2
