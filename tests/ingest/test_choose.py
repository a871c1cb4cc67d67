"""Which reader is chosen, and which voxel size."""

from __future__ import annotations

import logging

import pytest

from sources import assert_refused, npy, tiff
from tomostat.ingest import ingest_volume, probe


def test_the_spacing_given_wins_and_a_contradiction_is_told(tmp_path, caplog):
    path = tiff(tmp_path / "a.tif", resolution=(2e5, 2e5), resolutionunit="CENTIMETER")
    with caplog.at_level(logging.WARNING):
        assert ingest_volume(path, tmp_path / "v.zarr", spacing=(0.1, 0.1, 0.1)).spacing == (0.1, 0.1, 0.1)
    assert "taking (0.1, 0.1, 0.1) as given" in caplog.text


@pytest.mark.parametrize("spacing", [0, -1.0, (1, 1), (1, 2, float("nan")), (0, 1, 1)])
def test_bad_spacing(tmp_path, spacing):
    with pytest.raises(ValueError, match="spacing is"):
        probe(npy(tmp_path / "a.npy"), spacing=spacing)


def test_a_missing_file(tmp_path):
    assert_refused(tmp_path, tmp_path / "none.tif", "no file or folder at .*none.tif", FileNotFoundError)


def test_no_spacing(tmp_path):
    assert_refused(tmp_path, npy(tmp_path / "a.npy"), "holds no voxel size; give spacing", spacing=None)
