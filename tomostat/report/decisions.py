"""Decisions of stitching that were close, from the tables of the merge graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

CLOSE = 1.5
"""Scores nearer to 0 are doubtful: the score is the logarithm of the odds that two tracks are one particle."""

DECIDED = ("best", "score")
"""Reasons of decisions that the score alone made."""


@dataclass(frozen=True)
class Decision:
    """Two tracks that were joined, or kept apart, by a score close to 0.

    Attributes
    ----------
    field
        Name of the field.
    a, b
        The tracks.
    particles
        Labels of their particles, equal where they were joined.
    joined
        Whether they are one particle.
    score
        Positive to join.
    centre
        Where they meet (z, y, x), micrometers.
    voxels
        Voxels of both tracks.
    """

    field: str
    a: int
    b: int
    particles: tuple[int, int]
    joined: bool
    score: float
    centre: NDArray[np.float64]
    voxels: int

    @property
    def error_probability(self) -> float:
        """Probability that the decision is wrong, as the score has it."""
        return float(expit(-abs(self.score)))


def doubtful(field: str, folder: Path) -> list[Decision]:
    """Doubtful decisions of a field, closest first; none where there is no merge graph.

    Parameters
    ----------
    field
        Its name.
    folder
        The merge graph: ``tracks.parquet`` and ``candidates.parquet``.
    """
    if not (folder / "candidates.parquet").is_file():
        return []
    tracks = pd.read_parquet(folder / "tracks.parquet").to_dict("index")
    pairs = pd.read_parquet(folder / "candidates.parquet")
    close = pairs[(pairs["score"].abs() < CLOSE) & pairs["reason"].isin(DECIDED)]
    found = []
    for pair in close.iloc[close["score"].abs().argsort(kind="stable")].to_dict("records"):
        a, b = tracks[pair["a"]], tracks[pair["b"]]
        middles = np.array([[one[axis] for axis in "zyx"] for one in (a, b)])
        sizes = np.array([a["voxels"], b["voxels"]], float)
        found.append(
            Decision(
                field=field, a=int(pair["a"]), b=int(pair["b"]), particles=(int(a["particle"]), int(b["particle"])),
                joined=bool(pair["joined"]), score=float(pair["score"]),
                # the smaller one is nearer to where they meet
                centre=(middles * sizes[::-1, None]).sum(axis=0) / sizes.sum(), voxels=int(sizes.sum()),
            )
        )  # fmt: skip
    return found
