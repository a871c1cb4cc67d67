"""The stage on synthetic electrodes: accuracy, the same result for any blocks, restarts, errors."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import asdict

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster
from scipy import ndimage
from skimage.filters import threshold_multiotsu

from properties import DEEP
from shapes import phantom_block
from stores import read_whole
from tomostat.execution import Execution
from tomostat.markers import read_markers
from tomostat.phantom.options import PhantomOptions
from tomostat.phase import Phase
from tomostat.phases import segment, segment_phases
from tomostat.phases.options import PhasesOptions
from tomostat.volume import describe, read_fit, read_shading, update_attributes


def scores(found, truth):
    """Share of right voxels in the field of view, and outside it."""
    in_field = truth != Phase.OUTSIDE
    beyond = (found == Phase.OUTSIDE)[~in_field].mean() if (~in_field).any() else 1.0
    return (found == truth)[in_field].mean(), beyond


CASES = {
    # options of the phantom, options of the stage, least voxel accuracy
    "dry": ({}, {}, 0.87),
    "faults": ({"shading": 0.3, "circle": 0.95, "rings": 0.02, "noise": 0.1}, {}, 0.84),
    "uint16": ({"dtype": "uint16", "grey_levels": (0.5, 0.55), "circle": 0.9}, {}, 0.86),
    "collector": ({"collector": 3.0, "headspace": 3.0, "noise": 0.05}, {"collector": True}, 0.88),
    "wet": ({"contrast": "wet", "noise": 0.05}, {}, 0.85),
}


@pytest.mark.parametrize(
    "case", ["faults", *(pytest.param(case, marks=pytest.mark.slow) for case in ("dry", "uint16", "collector", "wet"))]
)
def test_phases_of_phantoms_are_found(stored, case):
    image, options, least = CASES[case]
    made = phantom_block(**image)
    path = stored(made.grey)
    fit = segment_phases(path, options=PhasesOptions(**options))
    accuracy, outside = scores(read_whole(path, "phases"), made.phases)
    assert accuracy > least
    assert outside > 0.999
    assert fit.warnings == ()
    levels = fit.levels
    contrast = levels.active - levels.pore
    top = 65535 if made.grey.dtype == np.uint16 else 255
    low, high = image.get("grey_levels", (0.2, 0.72))
    assert abs(contrast / (high - low) / top - 1) < 0.06
    if "shading" not in image:  # the mean of the shading stays in the levels
        assert abs(levels.pore - low * top) < 0.03 * contrast
    assert levels.pore < levels.cbd < levels.active
    assert (levels.collector is None) == (case != "collector")
    rough = PhantomOptions().roughness / PhantomOptions().spacing[0]  # a rough surface widens edges, in voxels
    assert abs(fit.blur - np.hypot(1.0, rough)) < 0.15
    assert 0 < fit.noise / contrast - image.get("noise", 0.08) < 0.05, "noise and the grain of the particles"
    assert fit.percentiles[0] < levels.pore < levels.active < fit.percentiles[1]
    assert (fit.circle is None) == ("circle" not in image)
    assert read_fit(path) == fit
    assert describe(path, "phases").attributes["levels"] == asdict(levels)


@pytest.mark.slow
def test_better_than_multi_otsu_on_all_voxels(stored):
    """The halo trap and the empty middle class of plain multi-Otsu cost more than half of the errors."""
    made = phantom_block()
    smoothed = ndimage.gaussian_filter(made.grey.astype(np.float32), 1.0)
    plain = np.digitize(smoothed, threshold_multiotsu(smoothed, 3))
    path = stored(made.grey)
    segment_phases(path)
    assert (read_whole(path, "phases") != made.phases).mean() < 0.55 * (plain != made.phases).mean()


def test_results_do_not_depend_on_blocks_or_workers(stored):
    made = phantom_block((20, 70, 48), shading=0.2, circle=0.95, collector=2.0)
    options = PhasesOptions(collector=True)
    results = []
    cases = [("a", None, 1), ("b", (32, 32, 64), 2), ("c", (16, 64, 32), 3)]
    for name, block, threads in cases if DEEP else cases[:2]:
        path = stored(made.grey, name, small=True)
        with dask.config.set(num_workers=threads):
            fit = segment_phases(path, options=options, block=block)
        results.append((fit, read_whole(path, "phases"), read_shading(path), read_whole(path, "phases", 1)))
    path = stored(made.grey, "d", small=True)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        fit = segment_phases(path, options=options, execution=Execution(client=client))
    results.append((fit, read_whole(path, "phases"), read_shading(path), read_whole(path, "phases", 1)))
    for fit, *arrays in results[1:]:
        assert fit == results[0][0]
        assert all(np.array_equal(a, b) for a, b in zip(arrays, results[0][1:], strict=True))


@pytest.mark.slow
def test_an_interrupted_run_goes_on(stored, tmp_path, monkeypatch):
    made = phantom_block((20, 64, 48), shading=0.2)
    whole_run = segment_phases(stored(made.grey, "a", small=True))
    expected = read_whole(tmp_path / "a.zarr", "phases")
    path, markers = stored(made.grey, "b", small=True), tmp_path / "markers"
    real, calls = segment._label_block, []

    def fails(*arguments):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt("power cut")
        return real(*arguments)

    monkeypatch.setattr(segment, "_label_block", fails)
    with dask.config.set(num_workers=1), pytest.raises(KeyboardInterrupt, match="power cut"):
        segment_phases(path, execution=Execution(markers=markers))
    before = len(calls)
    fit = segment_phases(path, execution=Execution(markers=markers))
    assert fit == whole_run
    assert np.array_equal(read_whole(path, "phases"), expected)
    blocks = len(dict(read_markers(markers / "labels.jsonl")))
    assert len(calls) - before == blocks - 4, "four blocks were finished"


def test_blank_slices_are_outside_and_spoil_nothing(stored):
    """Frames that were dropped, within the field and at its end."""
    grey = phantom_block(noise=0.08).grey
    whole = segment_phases(stored(grey, "whole"))
    blank = [10, 11, 12, 39]
    grey[blank] = 0
    path = stored(grey, "blank")
    update_attributes(path, {"blank_slices": blank})
    fit = segment_phases(path)
    outside = (read_whole(path, "phases") == Phase.OUTSIDE).all(axis=(1, 2))
    assert np.flatnonzero(outside).tolist() == blank
    assert "field of view: 10 to 12, 39; particles" in fit.warnings[-1]
    np.testing.assert_allclose(fit.thresholds, whole.thresholds, rtol=0.02)
    assert fit.blur == pytest.approx(whole.blur, rel=0.05)
    assert fit.shares.cbd == pytest.approx(whole.shares.cbd, abs=0.02)


def test_one_slice(stored):
    made = phantom_block((3, 160, 160))
    path = stored(made.grey[1:2])
    fit = segment_phases(path)
    assert (read_whole(path, "phases")[0] == made.phases[1]).mean() > 0.8
    assert fit.blur is not None


def test_given_thresholds_are_taken(stored):
    made = phantom_block(noise=0.05)
    path = stored(made.grey)
    fit = segment_phases(path, options=PhasesOptions(thresholds=(66.0, 118.0), shading=False))
    assert fit.thresholds == (66.0, 118.0)
    assert scores(read_whole(path, "phases"), made.phases)[0] > 0.86
    two = segment_phases(path, options=PhasesOptions(phases=2, thresholds=(118.0,), shading=False))
    assert two.thresholds == (118.0,)
    assert set(np.unique(read_whole(path, "phases"))) == {0, 2}


def test_bad_input_is_refused(stored, tmp_path):
    with pytest.raises(FileNotFoundError, match="no volume"):
        segment_phases(tmp_path / "none.zarr")
    framed = np.full((4, 40, 40), 9, np.uint8)
    path = stored(framed)
    with pytest.raises(ValueError, match="same grey value"):
        segment_phases(path)
    with pytest.raises(ValueError, match="whole numbers of shards"):
        segment_phases(stored(np.zeros((4, 80, 80), np.uint8), "b", small=True), block=(16, 40, 32))
    assert not (path / "labels").exists()


@pytest.mark.parametrize("collector", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_task_needs_no_more_memory_than_estimated(stored, collector):
    """The largest task of every step, in bytes for each voxel that it reads, by what numpy and Python allocate."""
    shape = (64, 64, 64)
    path = stored(phantom_block(shape, circle=0.95, shading=0.3, collector=2.0).grey.astype(np.float32))
    segment_phases(path, options=PhasesOptions(collector=collector))
    voxels, peaks = math.prod(shape), {}

    class Measured(Execution):
        def run(self, step, tasks, **options):
            tracemalloc.start()
            try:
                return super().run(step, tasks, **options)
            finally:
                peaks[step] = tracemalloc.get_traced_memory()[1] / voxels
                tracemalloc.stop()

    with dask.config.set(num_workers=1):
        segment_phases(path, options=PhasesOptions(collector=collector), execution=Measured())
    blockwise = {step: peak for step, peak in peaks.items() if step not in ("field", "edges")}
    assert {"grey-0", "shading", "histogram", "labels"} <= set(blockwise)
    assert max(blockwise.values()) <= segment.BYTES_PER_VOXEL, peaks


def test_thresholds_are_grey_values_of_the_file(stored):
    """Of an int16 file, to whose values ingest added half the range."""
    path = stored(phantom_block(noise=0.05).grey)
    update_attributes(path, {"grey_shift": 30})
    fit = segment_phases(path, options=PhasesOptions(thresholds=(36.0, 88.0), shading=False))
    assert fit.thresholds == (66.0, 118.0)
