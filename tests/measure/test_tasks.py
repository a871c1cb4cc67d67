"""Tasks of the measure stage: lazy until they are computed, and what they return survives as text."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tomostat.measure.batches as batches
import tomostat.measure.tasks as tasks
from stores import half_ball, store, three_balls
from tomostat.measure import MeasureOptions
from tomostat.measure.batches import make_batches
from tomostat.measure.contact.mixture import PRIOR
from tomostat.measure.contact.neighbours import NearParticle
from tomostat.measure.particles import grey_levels
from tomostat.measure.shape.moments import FixedPoint, block_moments
from tomostat.measure.tasks import (
    MeasuredParticle,
    MeasurePlan,
    layer_count_tasks,
    parse_moments,
    particle_tasks,
    sums_tasks,
)
from tomostat.volume import describe, read_fit


def test_building_the_tasks_reads_no_voxels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any of the three steps; each of them reads when it is computed."""
    labels, phases = three_balls()
    path = store(tmp_path / "field.zarr", labels, phases)
    info, moments = describe(path), block_moments(labels, labels.astype(np.float32))
    reads: list[str] = []

    def recorded(name: str, read: Any) -> Any:
        return lambda *given: [reads.append(name), read(*given)][1]

    for module in (tasks, batches):
        for name in ("read_box", "read_flat"):
            monkeypatch.setattr(module, name, recorded(name, getattr(module, name)))
    task = MeasurePlan(path, info, grey_levels(read_fit(path)), (PRIOR,) * 3, MeasureOptions(), None)
    members = make_batches(moments, info, np.arange(3), (10, 10, 10))
    steps = [
        sums_tasks(path, FixedPoint(), (16, 16, 16)), layer_count_tasks(task, members), particle_tasks(task, members),
    ]  # fmt: skip
    assert [len(step) for step in steps] == [3 * 4 * 7, 1, 1]
    assert not reads
    for step in steps:
        before = len(reads)
        next(iter(step.values())).compute(scheduler="synchronous")
        assert len(reads) > before


def test_sums_of_blocks_survive_as_text(tmp_path: Path) -> None:
    path = half_ball(tmp_path / "f.zarr")
    for task in list(sums_tasks(path, FixedPoint(), (32, 32, 64)).values())[:2]:
        found = task.compute(scheduler="synchronous")
        first, second = parse_moments(found), parse_moments(json.loads(json.dumps(found)))
        assert len(first) == 1
        for name in ("label", "sums", "low", "high"):
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_measured_particles_survive_as_text() -> None:
    values = {"detachment": 0.1 + 0.2, "fragments": 3, "fully_detached": False, "grey_profile": [math.nan, 1 / 3]}
    particle = MeasuredParticle(
        7, values, [NearParticle(3, 0.7, True, (0, 2, 9)), NearParticle(9, math.nan, False, (0, 0, 1))]
    )
    again = MeasuredParticle.parse(json.loads(json.dumps(particle.record())))
    assert repr(again) == repr(particle)
