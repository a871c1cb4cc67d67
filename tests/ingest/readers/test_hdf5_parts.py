"""HDF5 that is put together: links, virtual and external parts, filters, files in use; scans that are no volumes."""

from __future__ import annotations

import subprocess
import sys

import h5py
import numpy as np
import pytest

from sources import GREY, SHAPE, assert_refused, hdf5
from tomostat.execution import Execution
from tomostat.ingest import IngestOptions, open_source, probe
from tomostat.ingest.stage import INGEST
from tomostat.layout import Layout
from tomostat.stage import FieldWork
from tomostat.study import study_of_volume

LINKED = IngestOptions(dataset="entry/linked")
ANYWHERE = IngestOptions(outside=True)


def linking(path, target, name="/v"):
    with h5py.File(path, "w") as file:
        file["entry/linked"] = h5py.ExternalLink(target, name)
    return path


def virtual(path, sources, shape=SHAPE):
    """A dataset whose slices lie in other files, as many in each."""
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout(shape, np.uint16)
        step = shape[0] // len(sources)
        for number, name in enumerate(sources):
            layout[number * step : (number + 1) * step] = h5py.VirtualSource(name, "v", (step, *shape[1:]))
        file.create_virtual_dataset("v", layout)
    return path


def halves(folder):
    for number in range(2):
        hdf5(folder / f"part{number}.h5", {"v": GREY[3 * number : 3 * number + 3]})
    return virtual(folder / "master.h5", ["part0.h5", "part1.h5"])


@pytest.mark.parametrize("options", [IngestOptions(), LINKED])
def test_a_link_to_another_file(tmp_path, options):
    hdf5(tmp_path / "target.h5", {"v": GREY})
    path = linking(tmp_path / "a.nxs", "target.h5")
    assert np.array_equal(probe(path, spacing=1, options=options).read_all(), GREY)


def test_a_link_is_followed_and_not_a_dataset_of_that_name_beside_it(tmp_path):
    hdf5(tmp_path / "target.h5", {"v": GREY})
    path = linking(tmp_path / "a.nxs", "target.h5")
    with h5py.File(path, "a") as file:
        file["v"] = GREY[:, ::2]
    assert np.array_equal(probe(path, spacing=1, options=LINKED).read_all(), GREY)


@pytest.mark.parametrize("options", [IngestOptions(), LINKED])
def test_a_link_to_nothing_is_named(tmp_path, options):
    path = linking(tmp_path / "a.nxs", "gone.h5")
    assert_refused(tmp_path, path, "entry/linked is a link to gone.h5:/v, where there is nothing", options=options)


def test_links_out_of_the_folder(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    hdf5(tmp_path / "target.h5", {"v": GREY})
    for path in (linking(inside / "a.nxs", "../target.h5"), virtual(inside / "b.h5", ["../target.h5"])):
        assert_refused(tmp_path, path, "links to '../target.h5', outside its folder", spacing=1)
        assert np.array_equal(probe(path, spacing=1, options=ANYWHERE).read_all(), GREY)


def test_external_storage(tmp_path):
    (tmp_path / "voxels.raw").write_bytes(GREY.tobytes())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("v", SHAPE, np.uint16, external=[("voxels.raw", 0, GREY.nbytes)])
    source = probe(tmp_path / "a.h5", spacing=1)
    assert tmp_path / "voxels.raw" in source.files
    (tmp_path / "voxels.raw").write_bytes(GREY.tobytes()[:-1])
    assert_refused(tmp_path, tmp_path / "a.h5", "voxels.raw is missing or lacks its part")


def test_virtual_parts_that_are_missing(tmp_path):
    path = halves(tmp_path)
    assert np.array_equal(probe(path, spacing=1).read_all(), GREY)
    (tmp_path / "part1.h5").unlink()
    assert_refused(tmp_path, path, "of which part1.h5 is missing or lacks its part")
    voxels = probe(path, spacing=1, options=IngestOptions(incomplete=True)).read_all()
    assert np.array_equal(voxels[:3], GREY[:3])
    assert not voxels[3:].any()


def test_virtual_parts_of_virtual_parts(tmp_path):
    """HDF5 itself gives zeros for what is missing behind a part that is there."""
    halves(tmp_path)
    path = virtual(tmp_path / "top.h5", ["master.h5"])
    source = probe(path, spacing=1)
    assert np.array_equal(source.read_all(), GREY)
    assert {file.name for file in source.files} == {"top.h5", "master.h5", "part0.h5", "part1.h5"}
    (tmp_path / "part0.h5").unlink()
    assert_refused(tmp_path, path, "of which part0.h5 is missing or lacks its part")


def test_parts_count_in_the_key(tmp_path):
    """Of the volume, and of labels that other programs made."""
    path = halves(tmp_path)
    hdf5(tmp_path / "target.h5", {"v": (GREY > 30000).astype(np.uint8)})
    labels = linking(tmp_path / "labels.h5", "target.h5")
    study = study_of_volume(path, tmp_path / "out", spacing=1, labels=labels)
    work = FieldWork(study, Layout(study.output), Execution(), study.fields[0])
    known = [INGEST.depends(work)]
    for name, array in (("part1.h5", GREY[:3]), ("target.h5", (GREY > 9).astype(np.uint16))):
        hdf5(tmp_path / name, {"v": array, "more": np.arange(9)})
        known.append(INGEST.depends(work))
    assert known[0] != known[1] != known[2]
    named = study_of_volume(f"{path}:v", tmp_path / "out", spacing=1, labels=labels)
    assert INGEST.depends(FieldWork(named, work.layout, work.execution, named.fields[0])) != known[2]


def test_a_file_that_another_program_writes(tmp_path):
    path = hdf5(tmp_path / "a.h5", {"v": GREY})
    hold = f"import h5py\nfile = h5py.File({str(path)!r}, 'r+')\nprint('open', flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        other.stdout.readline()
        assert_refused(tmp_path, path, "is in use by another program that writes it")
        other.communicate("\n")
    assert probe(path, spacing=1).shape == SHAPE


def test_a_filter_that_is_not_installed(tmp_path, monkeypatch):
    hdf5plugin = pytest.importorskip("hdf5plugin")
    path = hdf5(tmp_path / "a.h5", {"v": GREY}, chunks=(1, 70, 85), **hdf5plugin.Bitshuffle())
    assert np.array_equal(probe(path, spacing=1).read_all(), GREY)
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code: False)
    assert_refused(tmp_path, path, r"packed by the HDF5 filter 32008 .* `pip install hdf5plugin`")


def test_projections_are_no_volume(tmp_path):
    nxtomo, aps = tmp_path / "a.nxs", tmp_path / "b.h5"
    with h5py.File(nxtomo, "w") as file:
        file["entry/data/data"] = GREY
        file["entry/data/image_key"] = np.zeros(SHAPE[0])
    with h5py.File(aps, "w") as file:
        file["exchange/data"], file["exchange/data_white"] = GREY, GREY[:2]
    assert_refused(tmp_path, nxtomo, "holds projections of a scan, not slices")
    assert_refused(tmp_path, aps, "exchange", error=ValueError)
    assert open_source(f"{nxtomo}:entry/data/data").shape == SHAPE
