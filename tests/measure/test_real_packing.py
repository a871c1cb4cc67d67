"""A packing of balls from a discrete-element run, measured from labels alone: volumes, and which balls touch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import tomostat as ts
from studies import UP_TO_TABLE
from tomostat.measure import open_contacts

PER_DIAMETER = 40
"""Voxels per mean diameter."""


def balls_of(path: Path) -> NDArray[np.float64]:
    """Centre (z, y, x) and radius of every ball, metres."""
    lines = (line.split() for line in path.read_text().splitlines() if not line.startswith("#"))
    return np.array([[float(word) for word in words[2:6]] for words in lines])


def drawn(balls: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Labels of balls (n, 4) in voxels; where two overlap, a voxel is the ball's that it lies deeper in."""
    shape = np.ceil((balls[:, :3] + balls[:, 3:]).max(axis=0)).astype(int) + 2
    labels, depth = np.zeros(shape, np.uint16), np.zeros(shape, np.float32)
    for label, (*centre, radius) in enumerate(balls, 1):
        box = tuple(slice(max(int(c - radius) - 1, 0), int(c + radius) + 2) for c in centre)
        grid = np.ogrid[box]
        deep = radius - np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)))
        deeper = deep > np.maximum(depth[box], 0)
        labels[box][deeper], depth[box][deeper] = label, deep[deeper]
    return labels


@pytest.mark.slow
def test_volumes_and_contacts_of_a_packing(data: Path, tmp_path: Path) -> None:
    """Balls touch whose surfaces meet where they are written, not through the faces of the periodic box."""
    balls = balls_of(data / "packing_spheres.txt")
    balls /= 2 * balls[:, 3].mean() / PER_DIAMETER
    balls[:, :3] += balls[:, 3].max() + 1  # no ball is cut
    np.save(tmp_path / "labels.npy", drawn(balls))
    study = ts.study_of_volume(None, tmp_path / "out", spacing=1.0, labels=tmp_path / "labels.npy")
    table = ts.open_particles(ts.run(study, stages=UP_TO_TABLE).particles)
    order = np.argsort(table["original_id"].to_numpy())
    assert table["original_id"].to_numpy()[order].tolist() == list(range(1, len(balls) + 1))
    apart = np.linalg.norm(balls[:, None, :3] - balls[None, :, :3], axis=-1) - balls[:, 3] - balls[None, :, 3].T
    true = {(a + 1, b + 1) for a, b in np.argwhere(np.triu(apart < 0, 1)).tolist()}
    ids = dict(zip(table["label"].values.tolist(), table["original_id"].values.tolist(), strict=True))
    found = {tuple(sorted((ids[a], ids[b]))) for (_, a), (_, b) in open_contacts(study.output).edges}
    np.testing.assert_allclose(table["volume"].to_numpy()[order], 4 / 3 * np.pi * balls[:, 3] ** 3, rtol=0.01)
    assert len(true & found) >= 0.98 * len(true)
    assert len(true & found) >= 0.98 * len(found)
