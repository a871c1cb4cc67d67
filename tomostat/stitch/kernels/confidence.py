"""How likely a particle is right: one particle, and the whole of it.

Right is a particle whose intersection over union with a true one is 0.5 or more. The logarithm of its odds is

    6.5 score + 2.1 roundness - 2.2 (parts - 1) - 8.3 doubt - 1.2 unevenness + 3.1 missed - 1.2

and where slices along other axes were searched as well

    5.5 score + 5.3 agreement + 1.0 roundness - 1.7 (parts - 1) - 5.9 doubt - 2.5

score
    mean score of its detections, weighted with their pixels
roundness
    logarithm of its volume over that of the ball with the same second moments: 0 for a ball, less for everything else,
    -3 at least
parts
    detections for each slice in which it is seen: 1 where every slice shows it in one piece
doubt
    largest over the candidates at its tracks: probability that the decision is wrong, as its score has it, times the
    share of the particle that would change, 1 at most; a person's decision leaves no doubt
unevenness
    how far the areas of its sections are from those of an ellipsoid, which are a parabola along z: root of the mean
    square of the differences over the mean area; 0 for up to three slices
missed
    share of the slices between its first and its last one in which nothing of it was found: they raise doubt and
    unevenness of particles that are right all the same
agreement
    largest intersection over union with a particle that another view finds by itself, the mean over these views; of
    several views that saw the particle, the one that resembles the others most gives all evidence

The coefficients are those of a logistic fit on simulated electrodes whose slices were made noisy and blurred and whose
detections were dropped, split and fused; `benchmarks/bench_confidence.py` fits them, and tells on other electrodes how
well they are calibrated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tomostat.stitch.kernels.candidates import Candidates, TrackGeometry
from tomostat.stitch.kernels.merging import Decision, Reason, sphere_likeness
from tomostat.stitch.kernels.tracks import Sections

ALONE = {
    "score": 6.5, "roundness": 2.1, "parts": -2.2, "doubt": -8.3, "unevenness": -1.2, "missed": 3.1, "constant": -1.2
}  # fmt: skip
WITH_VIEWS = {"score": 5.5, "agreement": 5.3, "roundness": 1.0, "parts": -1.7, "doubt": -5.9, "constant": -2.5}
"""Coefficients of the evidence of z alone, and beside other views; parts are counted from 1."""

LEAST_ROUND = -3.0
"""Roundness from which on a particle is no less likely to be right."""

BALL = float(-1.5 * np.log(0.6 * (3 / (4 * np.pi)) ** (2 / 3)))
"""`sphere_likeness` of a large ball of voxels of unit volume."""

BY_HAND = (Reason.JOIN_EDIT, Reason.CUT_EDIT)
"""Decisions of a person."""


@dataclass(frozen=True, eq=False)
class ParticleEvidence:
    """What tells whether particles are right; arrays (n,) in the order of the particles.

    Attributes
    ----------
    particle
        Numbers of the particles, uint32, ascending.
    score, roundness, parts, doubt, unevenness, missed, agreement
        See the module; float64. The agreement is NaN without other views.
    """

    particle: NDArray[np.uint32]
    score: NDArray[np.float64]
    roundness: NDArray[np.float64]
    parts: NDArray[np.float64]
    doubt: NDArray[np.float64]
    unevenness: NDArray[np.float64]
    missed: NDArray[np.float64]
    agreement: NDArray[np.float64]

    @property
    def confidence(self) -> NDArray[np.float64]:
        """Probability that each particle is right, (n,) float64."""
        odds = np.where(np.isnan(self.agreement), self._odds(ALONE), self._odds(WITH_VIEWS))
        return np.asarray(1 / (1 + np.exp(-odds)))

    def terms(self, names: Iterable[str]) -> NDArray[np.float64]:
        """The evidence that coefficients of some names stand before, (n, names) float64."""
        known = {**vars(self), "parts": self.parts - 1, "constant": np.ones(len(self.particle))}
        return np.stack([known[name] for name in names], axis=1)

    def _odds(self, weights: Mapping[str, float]) -> NDArray[np.float64]:
        return self.terms(weights) @ np.array(list(weights.values()))


def particle_evidence(
    sections: Sections,
    track: NDArray[np.int32],
    tracks: TrackGeometry,
    candidates: Candidates,
    decision: Decision,
    particle: NDArray[np.uint32],
    spacing: tuple[float, float, float],
) -> ParticleEvidence:
    """Evidence of the particles of one view; it depends on the instances and the decisions alone.

    Parameters
    ----------
    sections
        All instances.
    track
        Track of every instance, (n,) int32.
    tracks, candidates, decision
        Tracks, candidates, and what was decided of them.
    particle
        Particle of every track, (k,) uint32; 0 where dropped.
    spacing
        Voxel size (z, y, x) in micrometers.
    """
    numbers, of_track = np.unique(np.append(particle, np.uint32(0)), return_inverse=True)  # 0 is always among them
    of_track, count = of_track[:-1], len(numbers)
    of_section = of_track[track]

    volume = np.maximum(np.bincount(of_section, sections.area, count), 1)
    score = np.bincount(of_section, sections.area * sections.score.astype(float), count) / volume
    profiles = _Profiles.of(of_section, sections, count)
    parts = np.bincount(of_section, minlength=count) / np.maximum(profiles.seen, 1)
    sums = np.stack([np.bincount(of_track, column, count) for column in tracks.moments.T], axis=1)
    likeness = sphere_likeness(volume[1:], sums[1:].T)
    roundness = np.clip(likeness + np.log(np.prod(spacing)) - BALL, LEAST_ROUND, 0.0)

    doubt = np.zeros(count)
    wrong = np.where(np.isin(decision.reason, BY_HAND), 0.0, 1 / (1 + np.exp(np.abs(decision.score))))
    at_stake = np.minimum(tracks.volume[candidates.a], tracks.volume[candidates.b])
    for end in (candidates.a, candidates.b):
        own = of_track[end]
        np.maximum.at(doubt, own, wrong * np.minimum(at_stake / volume[own], 1))
    found = score[1:], roundness, parts[1:], doubt[1:], profiles.unevenness()[1:], profiles.missed()[1:]
    return ParticleEvidence(numbers[1:], *found, np.full(count - 1, np.nan))


@dataclass(frozen=True, eq=False)
class _Profiles:
    """Areas of particles along z.

    Attributes
    ----------
    seen
        (count,) slices that show something of each particle.
    owner, slice, area
        Particle, slice and pixels of each of them, by particle, then slice.
    """

    seen: NDArray[np.intp]
    owner: NDArray[np.intp]
    slice: NDArray[np.intp]
    area: NDArray[np.float64]

    @classmethod
    def of(cls, of_section: NDArray[np.intp], sections: Sections, count: int) -> Self:
        """Profiles of `count` particles, from the particle of every section."""
        depth = int(sections.slice.max(initial=0)) + 1
        place, which = np.unique(of_section.astype(np.int64) * depth + sections.slice, return_inverse=True)
        owner, slices = np.divmod(place, depth)
        area = np.bincount(which, sections.area, len(owner)).astype(np.float64)
        return cls(np.bincount(owner, minlength=count), owner, slices, area)

    def missed(self) -> NDArray[np.float64]:
        """Share of the slices between the first and the last that show nothing of each particle."""
        end = np.cumsum(self.seen)
        some = self.seen > 0
        extent = np.ones(len(self.seen))
        extent[some] = self.slice[end[some] - 1] - self.slice[(end - self.seen)[some]] + 1
        return np.where(some, 1 - self.seen / extent, 0.0)

    def unevenness(self) -> NDArray[np.float64]:
        """Deviation of each particle's areas from a parabola along z, over their mean."""
        count = len(self.seen)
        total = np.maximum(self.seen, 1)

        def sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(np.bincount(self.owner, values, count), np.float64)

        height = self.slice - (sums(self.slice.astype(np.float64)) / total)[self.owner]
        height /= np.sqrt(sums(height**2) / total + 1e-12)[self.owner]
        powers = np.stack([sums(height**k) for k in range(5)], axis=1)
        enough = self.seen > 3
        left = powers[:, np.add.outer(np.arange(3), np.arange(3))]
        right = np.stack([sums(self.area * height**k) for k in range(3)], axis=1)
        parabola = np.zeros((count, 3))
        parabola[enough] = np.linalg.solve(left[enough], right[enough][..., None])[..., 0]
        rest = self.area - (parabola[self.owner] * height[:, None] ** np.arange(3)).sum(axis=1)
        mean = sums(self.area) / total
        return np.where(enough, np.sqrt(sums(rest**2) / total) / np.maximum(mean, 1), 0.0)
