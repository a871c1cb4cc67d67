"""Which reader is chosen, what its errors say, and which voxel size is taken."""

from __future__ import annotations

import logging
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from distributed import Client

from sources import (
    GREY,
    SHAPE,
    TEXT_READER,
    TextReader,
    TextSource,
    assert_refused,
    hdf5,
    itk,
    npy,
    png,
    raw,
    text,
    tiff,
    zarr_array,
)
from tomostat import cli, cluster, plugins
from tomostat.execution import Execution
from tomostat.ingest import IngestOptions, choose_reader, ingest_volume, probe
from tomostat.layout import Layout
from tomostat.volume import open_volume

OWN = ("hdf5", "itk", "npy", "picture", "raw", "tiff", "zarr")
TEXT = (GREY[:3, :20, :30] // 300).astype(np.uint8)


@pytest.fixture
def installed(monkeypatch):
    """Offer readers as installed packages do, under these names."""

    def install(**readers: object) -> None:
        for name, value in readers.items():
            monkeypatch.setattr(f"sources.{name.upper()}", value, raising=False)
        points = [EntryPoint(name, f"sources:{name.upper()}", "tomostat.readers") for name in readers]
        monkeypatch.setattr(plugins, "entry_points", lambda group: [p for p in points if p.group == group])

    return install


def files(folder):
    """A file of every kind that tomostat reads by itself, by the name of its reader."""
    made = {"hdf5": hdf5(folder / "a.h5", {"x": GREY}), "itk": itk(folder / "a.nrrd"), "npy": npy(folder / "a.npy"),
            "picture": png(folder / "a.png", GREY[0]), "raw": raw(folder / "a.raw"),
            "tiff": tiff(folder / "a.tif"), "zarr": zarr_array(folder / "a.zarr")}  # fmt: skip
    assert tuple(made) == OWN
    return made


def test_every_format_has_its_reader(tmp_path):
    for name, path in files(tmp_path).items():
        assert choose_reader(path, IngestOptions()).identity == [name, ""]


def test_a_zarr_folder_with_a_tiff_in_it_is_zarr(tmp_path):
    folder = zarr_array(tmp_path / "a.zarr")
    tiff(folder / "preview.tif", GREY[0])
    assert choose_reader(folder, IngestOptions()).name == "zarr"


def test_a_named_reader_is_taken(tmp_path):
    """A named reader takes the file though another recognizes it."""
    path = npy(tmp_path / "a.npy", GREY[:1])
    options = IngestOptions(reader="raw", shape=(1, 62, 194), dtype="u1")
    info = ingest_volume(path, tmp_path / "v.zarr", spacing=1, options=options)
    assert open_volume(info.path).values.tobytes() == path.read_bytes()
    assert info.attributes["source"]["reader"] == "raw"


@pytest.mark.parametrize(
    ("name", "words"),
    [("hdf5", "is no HDF5 file"), ("itk", "is no NRRD, NIfTI or MetaImage file|is a folder"), ("npy", "is no npy file"),
     ("picture", "is neither a PNG nor a JPEG picture|holds no slices"),
     ("raw", "bytes; shape 6 x 70 x 85 of uint8|is a folder"),
     ("tiff", "is no TIFF file|holds no slices \\*.tif"), ("zarr", "is no zarr store")],
)  # fmt: skip
def test_a_named_reader_refuses_other_kinds_clearly(tmp_path, name, words):
    options = IngestOptions(reader=name, **{"shape": SHAPE, "dtype": "u1"} if name == "raw" else {})
    for kind, path in files(tmp_path).items():
        if kind != name:
            assert_refused(tmp_path, path, words, options=options)


def test_the_name_of_a_reader_reaches_ingest(tmp_path, capsys):
    path = npy(tmp_path / "a.npy")
    for name, words in (
        ("tiff", "a.npy is no TIFF file"),
        ("grib", "there is no reader 'grib'; known are hdf5, itk"),
    ):
        tokens = ["run", str(path), "--spacing", "1", "--out", str(tmp_path / "out"), "--ingest.reader", name]
        assert cli.main(tokens) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "out" / "fields").exists()


def test_an_unknown_reader(tmp_path):
    known = "there is no reader 'grib'; known are hdf5, itk, npy, picture, raw, tiff, zarr"
    with pytest.raises(ValueError, match=known):
        probe(npy(tmp_path / "a.npy"), spacing=1, options=IngestOptions(reader="grib"))
    with pytest.raises(ValueError, match=r"reader 'sources:GREY' is a ndarray; expected a tomostat\.ingest\.Reader"):
        probe(tmp_path / "a.npy", spacing=1, options=IngestOptions(reader="sources:GREY"))


def test_an_installed_reader_is_found_and_recorded(tmp_path, installed, capsys):
    installed(text_reader=TEXT_READER)
    info = ingest_volume(text(tmp_path / "a.txt", TEXT), tmp_path / "v.zarr", spacing=1)
    assert np.array_equal(open_volume(info.path).values, TEXT)
    source = info.attributes["source"]
    assert (source["kind"], source["reader"], source["reader_version"]) == ("text", "text_reader", "")
    assert cli.main(["info", "--formats"]) == 0
    title, *lines = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert title == "read:"
    assert [line.split()[0] for line in lines] == [*OWN, "text_reader"]
    assert lines[-1].split(maxsplit=1)[1] == "grey values as text"


def test_a_reader_is_named_as_an_object_on_the_command_line(tmp_path, monkeypatch, capsys):
    client = Client(processes=False, n_workers=1, dashboard_address="127.0.0.1:0")  # threads of this process
    monkeypatch.setattr(cluster, "open_cluster", lambda *_, **__: client)
    path, out = text(tmp_path / "a.txt", TEXT), tmp_path / "out"
    tokens = ["--reader", "sources:TEXT_READER", "--spacing", "1", "--out", str(out)]
    assert cli.main(["ingest", str(path), *tokens]) == 0, capsys.readouterr().err
    assert np.array_equal(open_volume(Layout(out).volume("a")).values, TEXT)


def test_own_readers_come_before_installed_ones_and_raw_files_last(tmp_path, installed):
    class Greedy(TextReader):
        def recognizes(self, path, first_bytes):
            return True

    installed(greedy=Greedy())
    chosen = {name: choose_reader(path, IngestOptions()).name for name, path in files(tmp_path).items()}
    assert chosen == {name: "greedy" if name == "raw" else name for name in OWN}


def test_errors_of_an_installed_reader_name_it_and_the_file(tmp_path, installed):
    class FailsToFind(TextReader):
        def find(self, path, options):
            raise KeyError("no frames")

    class FindsNothing(TextReader):
        def find(self, path, options):
            return None

    class FailsToRecognize(TextReader):
        def recognizes(self, path, first_bytes):
            raise RuntimeError("licence expired")

    path = text(tmp_path / "a.txt", TEXT)
    for reader, words in (
        (FailsToFind(), "beamline failed at .*a.txt: KeyError: 'no frames'"),
        (FindsNothing(), "beamline failed at .*a.txt: TypeError: find returned a NoneType; expected a tomostat.ingest"),
        (FailsToRecognize(), "beamline failed at .*a.txt: RuntimeError: licence expired"),
    ):
        installed(beamline=reader)
        assert_refused(tmp_path, path, words)


@pytest.mark.parametrize(
    ("error", "raised"), [(RuntimeError("bad frame"), ValueError), (OSError("disk asleep"), OSError)]
)
def test_an_installed_reader_that_fails_at_a_block(tmp_path, installed, error, raised):
    """The block is named; after an error of the disk or network the next call resumes, after others it starts anew."""

    class Failing(TextSource):
        def read(self, box):
            if box[0] == slice(0, 3):  # the middle slice, which is looked at first, can be read
                raise error
            return super().read(box)

    class Reader(TextReader):
        def find(self, path, options):
            return Failing(path=path, kind="text", shape=TEXT.shape, dtype=TEXT.dtype)

    installed(beamline=Reader())
    markers = tmp_path / "markers"
    with pytest.raises(raised, match=f"beamline failed at .*a.txt, block 00000-00000-00000: .*{error}"):
        ingest_volume(
            text(tmp_path / "a.txt", TEXT), tmp_path / "v.zarr", spacing=1, execution=Execution(markers=markers)
        )
    assert (tmp_path / "v.zarr.partial").exists() == (raised is OSError)


def test_an_installed_reader_that_reads_another_box(tmp_path, installed):
    class Failing(TextSource):
        def read(self, box):
            return super().read(box)[:, 1:] if box[0] == slice(0, 3) else super().read(box)

    class Reader(TextReader):
        def find(self, path, options):
            return Failing(path=path, kind="text", shape=TEXT.shape, dtype=TEXT.dtype)

    installed(beamline=Reader())
    words = r"beamline failed at .*a.txt, block .*: a box of \(3, 20, 30\) voxels was read with shape \(3, 19, 30\)"
    assert_refused(tmp_path, text(tmp_path / "a.txt", TEXT), words)


def test_a_package_that_cannot_be_imported_hinders_its_own_files_only(tmp_path, monkeypatch):
    point = EntryPoint("beamline", "no_such_module:READER", "tomostat.readers")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
    assert probe(tiff(tmp_path / "a.tif"), spacing=1).shape == SHAPE
    assert_refused(
        tmp_path, raw(tmp_path / "a.raw"), "reader 'beamline' cannot be imported: No module", names_source=False
    )


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
