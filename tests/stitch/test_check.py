"""The seam check finds what it is for, and nothing in a good run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from test_stitch import BLOCKS, balls, write_field

from tomostat.stitch import check_particles, stitch_particles
from tomostat.stitch.check import flat_ends
from tomostat.volume import read_box, write_box


def test_a_good_run_has_no_problem_and_faults_are_told_with_their_places(tmp_path: Path) -> None:
    field = write_field(tmp_path, balls())
    stitch_particles(*field.places, block=BLOCKS[0])
    assert check_particles(*field.places) == []
    box = (slice(64, 70), slice(0, 256), slice(0, 60))
    whole = read_box(field.path, box, "particles")
    write_box(field.path, (64, 0, 0), np.zeros_like(whole), "particles")  # a block that was never painted
    problems = check_particles(*field.places)
    assert any("not what the masks give" in problem.what for problem in problems)
    cut = [problem for problem in problems if "cut flat" in problem.what]
    assert cut
    assert all(problem.place[0] == 64 for problem in cut)
    write_box(field.path, (64, 0, 0), np.full_like(whole, 9999), "particles")
    assert any("belongs to no particle" in problem.what for problem in check_particles(*field.places))


def test_ends_that_thin_out_are_no_cuts() -> None:
    y, x = np.ogrid[:40, :40]
    radii = [14, 13, 11, 7, 0, 0]
    planes = np.stack([((y - 20) ** 2 + (x - 20) ** 2 < r * r) * np.uint32(3) for r in radii])
    assert flat_ends(planes, 4) == []
    planes[3] = planes[0]
    assert [number for number, *_ in flat_ends(planes, 4)] == [3]
    assert [number for number, *_ in flat_ends(planes[::-1], 2)] == [3]
