"""Two processes run in one folder, at random distances: one works, the other is refused, and nothing is damaged."""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from properties import DEEP
from tomostat import pipeline, postprocess
from tomostat.lock import InUseError
from tomostat.study import Study, study_of_volume

STAGES = ("ingest", "phases")


def attempt(study: Study, outcome: Path) -> None:
    """Run in a process of its own, and note what came of it."""
    try:
        pipeline.run(study, stages=STAGES)
        outcome.write_text("done")
    except InUseError:
        outcome.write_text("refused")


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="processes cannot be forked here")
@pytest.mark.parametrize("seed", range(20 if DEEP else 2))
def test_one_of_two_runs_is_refused(tmp_path, seed):
    grey = np.random.default_rng(0).normal(100, 12, (16, 64, 64)).clip(0, 255).astype("u1")
    tifffile.imwrite(tmp_path / "a.tif", grey, photometric="minisblack")
    study = study_of_volume(tmp_path / "a.tif", tmp_path / "out", spacing=0.2)
    fork, outcomes = multiprocessing.get_context("fork"), [tmp_path / "first", tmp_path / "second"]
    processes = [fork.Process(target=attempt, args=(study, outcome)) for outcome in outcomes]
    processes[0].start()
    time.sleep(random.Random(seed).uniform(0, 0.5))
    processes[1].start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    found = [outcome.read_text() for outcome in outcomes]
    assert "done" in found
    assert postprocess.check_files(study) == []
    assert not list((tmp_path / "out").glob(".lock*"))
