"""Running a detector over a volume, block by block."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from networks import equal
from tomostat.detect.detector import FunctionDetector
from tomostat.detect.detectors.watershed import WatershedDetector
from tomostat.detect.instances import detect_instances, detect_tasks
from tomostat.detect.options import DetectOptions
from tomostat.execution import Execution
from tomostat.instances import Instances, read_instances, read_metadata
from tomostat.phase import Phase, PhaseFit, PhaseLevels
from tomostat.volume import create_volume, update_attributes, write_box

FIT = PhaseFit(levels=PhaseLevels(pore=0.0, active=2.0), percentiles=(0.0, 2.0), noise=0.1, blur=1.0)


def test_tasks_are_lazy(volume, tmp_path):
    calls = []
    detector = FunctionDetector(lambda *block: calls.append(block))
    tasks = detect_tasks(volume[0], tmp_path / "out", detector, "recording", DetectOptions(slices=3))
    assert list(tasks) == sorted(tasks)
    assert len(tasks) == 3
    assert not calls
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("slices", [1, 3, 32])
def test_stage_equals_the_whole_array_for_any_block(volume, tmp_path, slices):
    path, grey, phases = volume
    run = WatershedDetector()
    count = detect_instances(path, tmp_path / "out", options=DetectOptions(slices=slices), detector=run)
    found = read_instances(tmp_path / "out")
    assert count == len(found) == int(sum(1 + z % 3 for z in range(7)))
    assert equal(found, run(grey.astype(np.float32), phases, 0))
    metadata = read_metadata(next(iter(sorted((tmp_path / "out").glob("*.parquet")))))
    assert metadata.options["slices"] == slices
    assert metadata.options["detector"] == "WatershedDetector"


def test_grey_reaches_the_detector_scaled_and_with_its_halo(volume, tmp_path):
    path, grey, _ = volume
    seen = {}

    class Recording:
        halo = 1

        def __call__(self, block, phases, first):
            seen[first] = (block.shape[0], block.min(), block.max(), phases.max())
            labels = (block > 0.5).astype(np.int32)
            parts = [Instances.from_labels(image, first + i) for i, image in enumerate(labels)]
            return Instances.concatenate(parts)

    detect_instances(path, tmp_path / "out", options=DetectOptions(slices=3), detector=Recording())
    assert seen == {0: (4, 0, 1, 2), 2: (5, 0, 1, 2), 5: (2, 0, 1, 2)}
    found = read_instances(tmp_path / "out")
    assert found.slice.tolist() == list(range(7))
    assert all(np.array_equal(found.labels(z) > 0, grey[z] > 100) for z in range(7))


def test_outside_a_round_field_looks_like_pores(volume, tmp_path):
    """Black corners would make the field look like one bright particle."""
    path, grey, phases = volume
    outside = np.zeros(grey.shape, bool)
    outside[:, :5] = True
    write_box(path, (0, 0, 0), np.where(outside, 0, grey // 2 + 35).astype(grey.dtype))
    write_box(path, (0, 0, 0), np.where(outside, np.uint8(Phase.OUTSIDE), phases), "phases")
    fit = replace(FIT, levels=PhaseLevels(pore=60.0, active=160.0), percentiles=(60.0, 160.0))
    update_attributes(path, fit.record(), "phases")
    seen = []

    def record(block, phases, first):
        seen.append((block[phases == Phase.OUTSIDE], block[phases != Phase.OUTSIDE]))
        return Instances.empty(block.shape[1:])

    detect_instances(path, tmp_path / "out", detector=record)
    for outer, inner in seen:
        assert (outer == 0).all()
        assert inner.min() == 0


def test_finished_blocks_are_not_run_again(volume, tmp_path):
    calls = []

    class Counting(WatershedDetector):
        def __call__(self, grey, phases, first):
            calls.append(first)
            return super().__call__(grey, phases, first)

    for _ in range(2):
        detect_instances(
            volume[0],
            tmp_path / "out",
            options=DetectOptions(slices=4),
            detector=Counting(),
            execution=Execution(markers=tmp_path / "marks"),
        )
    assert sorted(calls) == [0, 4]


def test_volume_without_phases_is_refused(tmp_path):
    create_volume(tmp_path / "a.zarr", shape=(1, 8, 8), dtype="uint8", spacing=(1, 1, 1))
    with pytest.raises((ValueError, FileNotFoundError), match="phases"):
        detect_instances(tmp_path / "a.zarr", tmp_path / "out", detector=WatershedDetector())


def test_importing_the_package_is_light():
    code = "import sys, tomostat.detect, tomostat.kernels.score; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_results_outside_the_slices_of_a_block_are_not_kept(volume, tmp_path):
    """A detector may find particles in its halo; each slice is taken from its own block only."""

    class Everywhere:
        halo = 2

        def __call__(self, grey, phases, first):
            label = np.zeros(grey.shape[1:], np.int32)
            label[:5, :5] = 1
            return Instances.concatenate([Instances.from_labels(label, first + i) for i in range(len(grey))])

    options = DetectOptions(slices=3, follow_material=False)
    assert detect_instances(volume[0], tmp_path / "out", options=options, detector=Everywhere()) == 7
    assert read_instances(tmp_path / "out").slice.tolist() == list(range(7))


@pytest.mark.parametrize("slices", [2, 32])
def test_detections_without_material_are_discarded_with_a_warning(volume, tmp_path, caplog, slices):
    """One detection in four has material; what is kept has the score that it had."""
    path, _, phases = volume

    def quarters(grey, phases, first):
        label = np.kron([[1, 2], [3, 4]], np.ones((32, 32), np.int32))
        scores = [0, 0.9, 0.8, 0.7, 0.6]
        return Instances.concatenate([Instances.from_labels(label, first + i, scores) for i in range(len(grey))])

    count = detect_instances(path, tmp_path / "out", options=DetectOptions(slices=slices), detector=quarters)
    found = read_instances(tmp_path / "out")
    share = phases.reshape(7, 2, 32, 2, 32).astype(bool).mean(axis=(2, 4)).reshape(7, 4)
    z, quarter = np.nonzero(share >= 0.1)
    assert count == len(found) == len(z)
    assert np.array_equal(found.slice, z)
    assert found.score == pytest.approx(np.array([0.9, 0.8, 0.7, 0.6])[quarter])
    assert f"{28 - count} of 28 detections have no active material" in caplog.text
    assert detect_instances(
        path, tmp_path / "all", options=DetectOptions(follow_material=False), detector=quarters
    ) == 28  # fmt: skip


def by_material(grey: np.ndarray, phases: np.ndarray, first: int) -> Instances:
    """A detector of connected material."""
    parts = [
        Instances.from_labels(ndimage.label(image == Phase.ACTIVE)[0], first + i) for i, image in enumerate(phases)
    ]
    return Instances.concatenate(parts)


@pytest.mark.parametrize("slices", [7, 64])
def test_other_views_are_slices_of_the_turned_volume(tmp_path, slices):
    phases = (ndimage.gaussian_filter(np.random.default_rng(0).random((48, 56, 64)), 3) > 0.505).astype(np.uint8) * 2
    path = tmp_path / "field.zarr"
    for label in (None, "phases"):
        attributes = FIT.record() if label else {}
        create_volume(path, shape=phases.shape, dtype="uint8", spacing=(1, 1, 1), label=label, attributes=attributes)
        write_box(path, (0, 0, 0), phases, label)
    out, options = tmp_path / "out", DetectOptions(slices=slices, views=("z", "y", "x"), follow_material=False)
    detect_instances(path, out, options=options, detector=by_material)
    for folder, axis in ((out, 0), (out / "y", 1), (out / "x", 2)):
        turned = np.moveaxis(phases, axis, 0)
        assert equal(read_instances(folder), by_material(turned, turned, 0))
        assert read_metadata(next(folder.glob("*.parquet"))).options["views"] == ["z", "y", "x"]
    detect_instances(path, out, options=DetectOptions(slices=slices, follow_material=False), detector=by_material)
    assert not list(out.glob("?/*.parquet"))


def test_a_volume_that_is_too_thin_for_views_is_refused(volume, tmp_path):
    with pytest.raises(ValueError, match=r"views z x need 48 voxels .* the volume has 7 along z \(7 x 64 x 64\)"):
        detect_instances(volume[0], tmp_path / "out", options=DetectOptions(views=("z", "x")), detector=by_material)
    assert not (tmp_path / "out").exists()
