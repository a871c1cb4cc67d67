"""Correlated maps through files and the command: what is read, found, written and refused."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from maps import two_maps
from tomostat import cli
from tomostat.correlate import CorrelateOptions, PlaneMap, correlate_maps, project_particle, project_volume, read_map
from tomostat.datasets import open_particles
from tomostat.layout import Layout

FEW = CorrelateOptions(resamples=100, sign="positive")


def test_the_command_finds_a_planted_correlation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, truth = two_maps(3, side=60)
    np.save(tmp_path / "density.npy", first.values)
    with h5py.File(tmp_path / "valence.h5", "w") as file:
        file["map"] = second.values
    words = [
        "correlate",
        str(tmp_path / "density.npy"),
        str(tmp_path / "valence.h5:map"),
        "--to",
        str(tmp_path / "out"),
    ]
    assert cli.main([*words, "--pixels", "1", "1.3", "--sign", "positive", "--resamples", "200"]) == 0
    assert "Pearson 0.5" in capsys.readouterr().out
    numbers = json.loads((tmp_path / "out" / "correlation.json").read_text())
    low, high = numbers["pearson"]["interval"]
    assert low < 0.54 < high
    assert numbers["pearson"]["value"] == pytest.approx(0.54, abs=0.08)
    assert numbers["placement"]["flip"] == truth.flip
    a, b, mask = tifffile.imread(tmp_path / "out" / "maps.tif")
    assert np.corrcoef(a[mask > 0], b[mask > 0])[0, 1] == pytest.approx(numbers["pearson"]["value"], abs=1e-5)
    assert len((tmp_path / "out" / "pixels.csv").read_text().splitlines()) == numbers["pixels"] + 1
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".png", ".svg", ".tif", ".csv", ".json"}


def test_projections() -> None:
    volume = np.arange(24.0).reshape(2, 3, 4)
    mask = np.ones(volume.shape, bool)
    mask[:, 0, 0], mask[0, 1, 1] = False, False
    found = project_volume(volume, (0.5, 0.1, 0.1), mask=mask)
    assert found.pixel == 0.1
    assert np.isnan(found.values[0, 0])
    assert found.values[1, 1] == volume[1, 1, 1]
    assert found.values[2, 3] == volume[:, 2, 3].mean()
    assert project_volume(volume, None, axis="x").values.shape == (2, 3)
    with pytest.raises(ValueError, match=r"pixels of 0\.5 x 0\.1 micrometers; expected squares"):
        project_volume(volume, (0.5, 0.1, 0.1), axis="x")
    with pytest.raises(ValueError, match="axis is 'w'"):
        project_volume(volume, None, axis="w")


def test_a_particle_of_a_study(results: Layout) -> None:
    number = int(open_particles(results.table("slow-1"))["label"][0])
    found = project_particle(results.root, "slow-1", number)
    assert found.pixel == pytest.approx(0.2)
    assert found.mask("values").sum() > 50
    assert np.nanmedian(found.values) > 50  # active material above pores
    with pytest.raises(ValueError, match="slow-1 has no particle 9999"):
        project_particle(results.root, "slow-1", 9999)


def test_maps_of_other_size_need_pixel_sizes() -> None:
    rng = np.random.default_rng(0)
    a, b = PlaneMap(rng.random((20, 20)), None, "a"), PlaneMap(rng.random((30, 30)), 0.1, "b")
    with pytest.raises(ValueError, match="a has 20 x 20 pixels, b 30 x 30, and the pixel size of one is unknown"):
        correlate_maps(a, b, FEW)


@pytest.mark.parametrize("bad", [np.zeros((20, 20)), np.ones((20, 20)), np.full((20, 20), np.nan), np.eye(6)])
def test_maps_that_hold_nothing_are_refused(bad: np.ndarray) -> None:
    good = PlaneMap(np.random.default_rng(0).random((20, 20)), 1.0, "good")
    with pytest.raises(ValueError, match=r"bad has .* pixels with different values inside its mask"):
        correlate_maps(good, PlaneMap(bad, 1.0, "bad"), FEW)


def test_a_mask_by_threshold_is_the_largest_bright_region() -> None:
    values = np.random.default_rng(0).random((30, 30))
    values[5:20, 5:20] += 10
    values[25:28, 25:28] += 10
    mask = PlaneMap(values, None, "a").mask("otsu")
    assert mask.sum() == 225
    assert PlaneMap(values, None, "a").mask("otsu", 2.0).sum() == 121


def test_doubts_are_told() -> None:
    """Two unrelated maps of whole frames: nothing outlines them, and no place is better than another."""
    rng = np.random.default_rng(1)
    a, b = (PlaneMap(1 + rng.random((24, 24)), 1.0, name) for name in "ab")
    found = correlate_maps(a, b, CorrelateOptions(resamples=100, flip=False, rotation=10, scale=0))
    assert any("do not outline an object" in note and "--mask otsu leaves it out" in note for note in found.notes)
    assert any("intervals do not hold the uncertainty of the placement" in note for note in found.notes)


def test_a_volume_is_projected(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).integers(1, 200, (4, 16, 16)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "v.tif", volume, photometric="minisblack", compression="deflate")
    found = read_map(tmp_path / "v.tif", pixel=0.2, axis="z")
    np.testing.assert_allclose(found.values, volume.mean(axis=0))
    with pytest.raises(FileNotFoundError):
        read_map(tmp_path / "none.tif")
    with pytest.raises(ValueError, match="rotation is 200"):
        CorrelateOptions(rotation=200)
