"""HDF5 and NeXus: which dataset is taken, its voxel size, and what is refused."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from sources import GREY, assert_refused, hdf5, nexus, tiff
from tomostat.ingest import IngestOptions, ingest_volume, probe
from tomostat.volume import open_volume


def test_spacing_of_hdf5(tmp_path):
    path = hdf5(tmp_path / "a.h5", {"v": GREY})
    for attributes, expected in (
        ({"element_size_um": [0.3, 0.2, 0.1]}, (0.3, 0.2, 0.1)),
        ({"voxel_size": 50.0, "units": "nm"}, (0.05, 0.05, 0.05)),
        ({"pixel_size_mm": [0.01, 0.02, 0.02]}, (10.0, 20.0, 20.0)),
        ({"spacing": [1.0, 1.0, 1.0]}, None),
        ({"note": "spacing unknown"}, None),
    ):
        with h5py.File(path, "a") as file:
            for key in list(file["v"].attrs):
                del file["v"].attrs[key]
            file["v"].attrs.update(attributes)
        found = probe(path, need_spacing=False).spacing
        assert found == (pytest.approx(expected) if expected else None), attributes


def test_nexus_tells_its_volume_and_spacing(tmp_path):
    info = ingest_volume(nexus(tmp_path / "a.nxs"), tmp_path / "v.zarr")
    assert info.spacing == pytest.approx((0.1, 0.05, 0.05))
    assert np.array_equal(open_volume(info.path).values, GREY)
    assert info.attributes["source"]["dataset"] == "/entry/reconstruction/values"
    found = probe(tmp_path / "a.nxs", spacing=1, options=IngestOptions(dataset="entry/flats"))
    assert found.shape == (6, 35, 85)
    assert probe(nexus(tmp_path / "b.nxs", units="furlong"), need_spacing=False).spacing is None


def test_a_dataset_is_named_after_a_colon(tmp_path):
    two = hdf5(tmp_path / "a.h5", {"raw": GREY, "deep/seg": GREY[:, :9]})
    tiff(tmp_path / "b.tif", GREY)
    info = ingest_volume(f"{two}:/deep/seg", tmp_path / "v.zarr", spacing=1)
    assert np.array_equal(open_volume(info.path).values, GREY[:, :9])
    assert info.attributes["source"]["path"] == "a.h5"
    assert info.attributes["source"]["dataset"] == "/deep/seg"
    again = probe(f"{two}:/deep/seg", spacing=1, options=IngestOptions(dataset="/deep/seg"))
    assert again.shape == (6, 9, 85)
    for name, said, options in (
        ("a.h5:none", "a.h5 has no dataset 'none'", None),
        ("a.h5:raw", "a.h5:raw names a dataset, and the option dataset another, 'seg'", IngestOptions(dataset="seg")),
        ("b.tif:raw", "b.tif is TIFF and has no datasets; leave 'raw' out", None),
    ):
        assert_refused(tmp_path, tmp_path / name, said, options=options, names_source=False)
    assert_refused(tmp_path, tmp_path / "c.h5:raw", "c.h5", FileNotFoundError)


def test_hdf5_that_does_not_tell_its_volume(tmp_path):
    two = hdf5(tmp_path / "a.h5", {"raw": GREY, "deep/seg": GREY[:, :9]})
    assert_refused(tmp_path, two, r"/deep/seg \(6 x 9 x 85\), /raw \(6 x 70 x 85\); expected exactly one")
    assert_refused(tmp_path, two, "name yours: FILE:PATH")
    assert_refused(tmp_path, two, "no dataset 'seg'", options=IngestOptions(dataset="seg"))
    assert_refused(tmp_path, hdf5(tmp_path / "b.h5", {"angles": np.arange(9)}), "holds no 3D dataset")
    several = hdf5(tmp_path / "c.h5", {"v": np.zeros((2, 3, 4, 5))})
    assert_refused(tmp_path, several, "several images; take one with channel=0 to 1")
    damaged = tmp_path / "d.h5"
    damaged.write_bytes(two.read_bytes()[:3000])
    assert_refused(tmp_path, damaged, "d.h5 is no HDF5 file, or truncated")
