"""What is wrong with an export is told before anything is written, and nothing half-written is left."""

from __future__ import annotations

import resource
import shutil
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from studies import at
from tomostat import cli, export_study, pipeline
from tomostat.export import FORMATS, Format, Plan, Results
from tomostat.measure import MeasureOptions

TABLES = ["xlsx", "netcdf"]


def refused(capsys, *tokens: object) -> str:
    assert cli.main(["export", *map(str, tokens)]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tomostat: ")]
    return line


@pytest.fixture
def copy(results, study, tmp_path):
    """The finished study, copied, to be changed."""
    shutil.copytree(results.root, tmp_path / "copy")
    return at(study, tmp_path / "copy")


def test_the_command(results, tmp_path, capsys, place):
    to = tmp_path / "deep" / "files"
    assert cli.main(["export", str(results.root), "--to", str(to), "--as", *TABLES, "stl", *place]) == 0
    assert f"{to / 'xlsx'}: 1 files" in capsys.readouterr().out
    assert sorted(path.name for path in to.iterdir()) == ["netcdf", "stl", "xlsx"]
    line = refused(capsys, results.root, "--to", to, "--as", "coco", "xlsx", *place)
    assert f"{to / 'xlsx'} exists and is not replaced" in line
    assert not (to / "coco").exists()


def test_mesh_is_export_as_vtk(results, tmp_path, capsys, place):
    words = ["mesh", str(results.root), "--field", "slow-1", "--labels", "2", "--to", str(tmp_path / "m"), *place]
    assert cli.main(words) == 0
    assert sorted(path.name for path in (tmp_path / "m" / "vtk").iterdir()) == ["slow-1-2.vtp", "slow-1.vtm"]


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["--as", "docx"], "there is no format 'docx'; known are coco, netcdf, ply, stl, tiff, vtk, xlsx"),
        (["--as"], "name one or more formats: coco, netcdf"),
        (["--as", "vtk", "--field", "none"], "there is no field 'none'; fields are slow-1, fast-1"),
        (["--as", "vtk", "--labels", "1"], "labels name particles of one field; name one of slow-1, fast-1"),
        (["--as", "ply", "--field", "slow-1", "--labels", "999"], "field 'slow-1' has no particle 999"),
        (["--as", "tiff", "--field", "slow-1", "--labels", "1"], "labels choose some for ply, stl, vtk"),
    ],
)
def test_what_cannot_be_is_refused(results, tmp_path, capsys, place, tokens, message):
    assert message in refused(capsys, results.root, "--to", tmp_path / "no" / "where", *tokens, *place)
    assert not (tmp_path / "no").exists()


def test_a_file_in_the_way(results, tmp_path, capsys, place):
    (tmp_path / "file").touch()
    line = refused(capsys, results.root, "--to", tmp_path / "file" / "deep", "--as", "xlsx", *place)
    assert f"{tmp_path / 'file'} is a file; choose a folder" in line


def test_a_folder_without_a_study(tmp_path, capsys):
    assert "holds no tomostat study" in refused(capsys, tmp_path, "--to", tmp_path / "to", "--as", "xlsx")


def test_an_unfinished_run_is_refused(study, copy, tmp_path):
    fresh = at(study, tmp_path / "new")
    pipeline.run(fresh, stages=["ingest"])
    with pytest.raises(ValueError, match="phases of field 'slow-1' is not finished; run `tomostat phases"):
        export_study(fresh, tmp_path / "to", TABLES)
    stale = copy.with_options(measure=MeasureOptions(shell=2.0))
    with pytest.raises(ValueError, match=r"measure of field 'slow-1' was not run on what is there now; run `tomostat"):
        export_study(stale, tmp_path / "to", TABLES)
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in ("tiff", "xlsx") else pytest.mark.slow) for name in FORMATS.built_in()],
)
@pytest.mark.filterwarnings("ignore:Exception ignored in. <generator object WorksheetWriter")  # openpyxl with lxml
def test_a_disk_that_fills_up(study, results, tmp_path, name):
    """Where files may have some size only, writing fails as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, limits[1]))
    try:
        with pytest.raises(OSError, match=f"{name} cannot be written into .*to: .*(File too large|requested and|File)"):
            export_study(study, tmp_path / "to", [name])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_too_small(study, results, tmp_path, monkeypatch):
    free = shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(OSError, match=r"the files take 0\.00 GiB but .* has 0\.00 GiB left"):
        export_study(study, tmp_path / "to", ["tiff"])
    assert not (tmp_path / "to").exists()


class Broken(Format):
    """A format of another package that fails half-way."""

    about: ClassVar[str] = "broken"

    def plan(self, results: Results) -> Plan:
        return Plan({"a": write_one, "b": fail})


def write_one(folder: Path) -> None:
    (folder / "one").touch()


def fail(folder: Path) -> None:
    raise OSError(28, "No space left on device")


def test_all_formats_or_none(study, results, tmp_path, monkeypatch):
    """A format of another package is named as module:object; where it fails, the others leave nothing either."""
    monkeypatch.setitem(sys.modules, "broken_format", sys.modules[__name__])
    monkeypatch.setattr(sys.modules[__name__], "FORMAT", Broken(), raising=False)
    with pytest.raises(OSError, match=r"broken_format:FORMAT cannot be written into .*No space left"):
        export_study(study, tmp_path / "to" / "deep", ["xlsx", "broken_format:FORMAT"])
    assert not list(tmp_path.iterdir())
