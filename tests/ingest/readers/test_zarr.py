"""zarr and OME-Zarr: which array is taken, its voxel size, and what is refused."""

from __future__ import annotations

import pytest
import zarr

from sources import GREY, SHAPE, assert_refused, ome
from tomostat.ingest import IngestOptions, ingest_volume, probe
from tomostat.volume import create_volume, write_box


def test_spacing_of_ome_zarr(tmp_path):
    for i, version in enumerate(("0.4", "0.5")):
        found = probe(ome(tmp_path / f"{i}.zarr", version))
        assert found.spacing == pytest.approx((0.2, 0.1, 0.1))
        assert found.kind == f"OME-Zarr {version}"
    assert probe(ome(tmp_path / "no.zarr", "0.5", unit="parsec"), need_spacing=False).spacing is None


def test_a_tomostat_volume_keeps_what_it_knows(tmp_path):
    path = tmp_path / "phantom.zarr"
    known = {"density_scale": 1e-8, "density_offset": -2e-7, "phantom": {"seed": 4}}
    create_volume(path, shape=SHAPE, dtype="uint16", spacing=(0.2, 0.1, 0.1), attributes=known)
    write_box(path, (0, 0, 0), GREY)
    create_volume(path, shape=SHAPE, dtype="uint32", spacing=(0.2, 0.1, 0.1), label="truth_particles")
    info = ingest_volume(path, tmp_path / "v.zarr")
    assert info.spacing == (0.2, 0.1, 0.1)
    assert {key: info.attributes[key] for key in known} == known
    assert info.attributes["source"]["kind"] == "OME-Zarr 0.5"
    other = ingest_volume(path, tmp_path / "w.zarr", attributes={"density_scale": 5.0})
    assert other.attributes["density_scale"] == 5.0


def test_zarr_that_does_not_tell_its_volume(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    assert_refused(tmp_path, tmp_path / "a.zarr", "holds no 3D array")
    for name in ("raw", "other"):
        group.create_array(name, shape=SHAPE, dtype="u2")[...] = GREY
    assert_refused(tmp_path, tmp_path / "a.zarr", r"other \(6 x 70 x 85\).*expected exactly one")
    assert_refused(tmp_path, tmp_path / "a.zarr", "no dataset 'seg'", options=IngestOptions(dataset="seg"))
    assert probe(tmp_path / "a.zarr", spacing=1, options=IngestOptions(dataset="raw")).shape == SHAPE
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "zarr.json").write_text("{")
    assert_refused(tmp_path, tmp_path / "b.zarr", "b.zarr is no zarr store, or it is damaged")
