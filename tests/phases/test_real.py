"""Phases of real images."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from stores import read_whole
from tomostat.ingest import ingest_volume
from tomostat.phase import Phase
from tomostat.phases import segment_phases
from tomostat.phases.options import PhasesOptions


@pytest.mark.slow
def test_real_sand(data, tmp_path):
    """Grains against the hand-drawn truth of slices 1 to 3; a plain Otsu in the field of view gives 0.918."""
    truth = tifffile.imread(data / "sand_ct_truth.tif") > 0
    grey = tifffile.imread(data / "sand_ct.tif")[:8]
    tifffile.imwrite(tmp_path / "sand.tif", grey, photometric="minisblack")
    ingest_volume(tmp_path / "sand.tif", tmp_path / "sand.zarr", spacing=1.0)
    fit = segment_phases(tmp_path / "sand.zarr", options=PhasesOptions(phases=2))
    found = read_whole(tmp_path / "sand.zarr", "phases")
    grains = found[:3] == Phase.ACTIVE
    assert 2 * (grains & truth).sum() / (grains.sum() + truth.sum()) > 0.9185
    assert ((found == Phase.OUTSIDE) == (grey == 2)).mean() > 0.9999
    assert np.allclose(fit.circle, (255.5, 255.5, 256), atol=0.7)


@pytest.mark.slow
def test_real_slice_at_the_edge_of_its_field(data, tmp_path):
    ingest_volume(data / "nmc_fullres.tif", tmp_path / "v.zarr", spacing=0.05)
    fit = segment_phases(tmp_path / "v.zarr")
    found = read_whole(tmp_path / "v.zarr", "phases")[0]
    assert (found[:40, :40] == Phase.OUTSIDE).all()
    assert (found[650:, :60] == Phase.OUTSIDE).all()
    assert 0.01 < (found == Phase.OUTSIDE).mean() < 0.02
    assert fit.circle is None, "two corners, no circle"
    assert (found[90:160, 110:150] == Phase.ACTIVE).mean() > 0.95
    assert fit.levels.cbd is not None
