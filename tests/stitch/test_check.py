"""The seam check finds what it is for, and nothing in a good run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stitching import BLOCKS, SHAPE, UNIT, random_balls, write_volume
from tomostat.instances import InstanceMetadata
from tomostat.stitch import check_particles, stitch_particles
from tomostat.stitch.check import _seams
from tomostat.stitch.options import StitchOptions
from tomostat.stitch.plan import StitchPlan
from tomostat.volume import read_box, write_box


def test_a_good_run_has_no_problem_and_faults_are_found_where_they_are(tmp_path: Path) -> None:
    stored = write_volume(tmp_path, random_balls())
    stitch_particles(*stored.places, block=BLOCKS[0])
    assert check_particles(*stored.places) == []
    box = (slice(64, 70), slice(0, 256), slice(0, 60))
    whole = read_box(stored.path, box, "particles")
    write_box(stored.path, (64, 0, 0), np.zeros_like(whole), "particles")  # a block that was never painted
    problems = check_particles(*stored.places)
    assert any("not what the masks give" in problem.what for problem in problems)
    cut = [problem for problem in problems if "cut flat" in problem.what]
    assert cut
    assert all(problem.place[0] == 64 for problem in cut)
    write_box(stored.path, (64, 0, 0), np.full_like(whole, 9999), "particles")
    assert any("belongs to no particle" in problem.what for problem in check_particles(*stored.places))


def test_a_field_without_particles_has_no_problem(tmp_path: Path) -> None:
    stored = write_volume(tmp_path, np.zeros(SHAPE, np.int32))
    stitch_particles(*stored.places)
    assert check_particles(*stored.places) == []


def test_seams_lie_where_tiles_of_slices_begin_and_end() -> None:
    shape = (8, 200, 60)
    plan = StitchPlan(Path(), Path(), Path(), shape, UNIT, shape, StitchOptions(), None)
    tables = [
        InstanceMetadata(shape=shape[1:], slices=range(z, z + 4), options={"tile": 130, "overlap": 10}, version="")
        for z in (0, 4)
    ]
    assert _seams(plan, tables, 0) == [4]
    assert _seams(plan, tables, 1) == [72, 128]  # two tiles of 128 pixels
    assert _seams(plan, tables, 2) == []  # one tile
