"""Synthetic electrodes on disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shapes import FAULTY_ELECTRODE, SMALL_ELECTRODE, render_all
from tomostat.events import Event, TaskEnded
from tomostat.execution import Execution
from tomostat.markers import read_markers
from tomostat.phantom import density_calibration, make_scene, simulate_volume, truth_table
from tomostat.phantom.options import PhantomOptions
from tomostat.volume import describe, read_box
from volumes import whole_box


def test_simulated_volume_holds_voxels_truth_and_density(tmp_path: Path):
    path = tmp_path / "field.zarr"
    options = dataclasses.replace(FAULTY_ELECTRODE, shape=(70, 48, 56))
    events: list[Event] = []
    simulate_volume(path, options, execution=Execution(listener=events.append))
    scene = make_scene(options)
    expected = render_all(scene)
    box = whole_box(options.shape)
    for label, part in zip((None, "truth_particles", "truth_phases"), expected, strict=True):
        assert np.array_equal(read_box(path, box, label), part)
        assert len(describe(path, label).levels) > 1
    attributes = describe(path).attributes
    assert (attributes["density_scale"], attributes["density_offset"]) == density_calibration(options)
    pd.testing.assert_frame_equal(pd.read_parquet(path / "truth.parquet"), truth_table(scene))
    assert {event.stage for event in events} == {"simulate"}
    ended = [event for event in events if isinstance(event, TaskEnded) and event.step == "blocks"]
    assert [event.done for event in ended] == list(range(1, ended[0].total + 1))


def test_an_interrupted_simulation_keeps_its_finished_blocks(tmp_path: Path):
    path = tmp_path / "field.zarr"
    options = dataclasses.replace(FAULTY_ELECTRODE, shape=(70, 48, 56))
    simulate_volume(path, options, execution=Execution(markers=tmp_path / "markers"))
    file = tmp_path / "markers" / "blocks.jsonl"
    finished = list(read_markers(file))
    file.write_text(file.read_text().splitlines(keepends=True)[0])
    simulate_volume(path, options, execution=Execution(markers=tmp_path / "markers"))
    again = list(read_markers(file))
    assert again[0] == finished[0]
    assert sorted(again) == sorted(finished), "no block is done twice"
    grey = read_box(path, whole_box(options.shape))
    assert np.array_equal(grey, render_all(make_scene(options)).grey)


def test_simulation_does_not_overwrite_what_is_no_volume(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not lose")
    with pytest.raises(ValueError, match="no volume"):
        simulate_volume(tmp_path / "mine", PhantomOptions(**SMALL_ELECTRODE))
    assert (tmp_path / "mine" / "thesis.txt").exists()
