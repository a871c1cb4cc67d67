"""Bad input at the command line: one clear line, exit status 2, nothing half-written, earlier results untouched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import yaml

from tomostat import cli
from tomostat.manifest import Manifest


def volume(folder: Path, name: str = "scan.tif", dtype: str = "uint8") -> Path:
    """A small stack of noise with one bright ball."""
    rng = np.random.default_rng(0)
    z, y, x = np.ogrid[-8:8, -24:24, -24:24]
    ball = (z**2 + y**2 + x**2 < 49) * 120.0
    grey = 60 + ball + rng.normal(0, 4, ball.shape)
    tifffile.imwrite(folder / name, grey.astype(dtype), imagej=False)
    return folder / name


def refused(capsys: pytest.CaptureFixture[str], *tokens: object) -> str:
    """The one line that a command is refused with."""
    status = cli.main([str(token) for token in tokens])
    lines = capsys.readouterr().err.strip().splitlines()
    assert status == 2, lines
    said = [line for line in lines if line.startswith("tomostat: ")]
    assert len(said) == 1, lines
    return said[0]


def snapshot(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


def test_missing_file(tmp_path, capsys):
    assert "none.tif" in refused(capsys, "run", tmp_path / "none.tif", "--spacing", 0.1, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_truncated_tiff(tmp_path, capsys):
    path = volume(tmp_path)
    path.write_bytes(path.read_bytes()[:9000])
    assert "scan.tif" in refused(capsys, "run", path, "--spacing", 0.1, "--out", tmp_path / "out")
    assert not list(tmp_path.glob("out/fields/*"))


def test_slices_of_different_sizes(tmp_path, capsys):
    (tmp_path / "slices").mkdir()
    for name, shape in (("s1", (48, 48)), ("s2", (48, 40))):
        tifffile.imwrite(tmp_path / "slices" / f"{name}.tif", np.arange(np.prod(shape), dtype="u1").reshape(shape))
    line = refused(capsys, "run", tmp_path / "slices", "--spacing", 0.1, "--out", tmp_path / "out")
    assert "s2.tif" in line
    assert "40" in line


def test_no_spacing(tmp_path, capsys):
    assert "spacing" in refused(capsys, "run", volume(tmp_path), "--out", tmp_path / "out")


def test_options_are_spelled_as_the_command_spells_them(tmp_path, capsys):
    (tmp_path / "slices").mkdir()
    for number in (1, 2, 4):
        tifffile.imwrite(tmp_path / "slices" / f"s{number}.tif", np.arange(2304, dtype="u2").reshape(48, 48))
    flags = [tmp_path / "slices", "--spacing", 0.1, "--out", tmp_path / "out"]
    assert "(--ingest.incomplete)" in refused(capsys, "run", *flags)
    assert "(--incomplete)" in refused(capsys, "ingest", *flags)


@pytest.mark.parametrize("spacing", [("-1",), ("0",), ("nan",), ("1", "2")])
def test_spacing_that_is_none(tmp_path, capsys, spacing):
    assert "spacing" in refused(capsys, "run", volume(tmp_path), "--out", tmp_path / "out", "--spacing", *spacing)


def test_no_output_folder(tmp_path, capsys):
    assert "--out" in refused(capsys, "run", volume(tmp_path), "--spacing", 0.1)


def test_a_constant_volume(tmp_path, capsys, place):
    grey = np.full((4, 32, 32), 7, np.float32)
    tifffile.imwrite(tmp_path / "scan.tif", grey, photometric="minisblack")
    line = refused(capsys, "run", tmp_path / "scan.tif", "--spacing", 0.1, "--out", tmp_path / "out", *place)
    assert "constant" in line
    assert not list(tmp_path.glob("out/fields/*"))


def test_unknown_dtype(tmp_path, capsys):
    np.save(tmp_path / "scan.npy", np.ones((4, 32, 32), np.complex64))
    assert "complex64" in refused(capsys, "run", tmp_path / "scan.npy", "--spacing", 0.1, "--out", tmp_path / "out")


def test_rgb(tmp_path, capsys):
    tifffile.imwrite(tmp_path / "scan.tif", np.zeros((32, 32, 3), np.uint8), photometric="rgb")
    line = refused(capsys, "run", tmp_path / "scan.tif", "--spacing", 0.1, "--out", tmp_path / "out")
    assert "RGB" in line or "colour" in line


def test_several_datasets(tmp_path, capsys):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["a"] = file["b"] = np.zeros((4, 32, 32), np.uint8)
    line = refused(capsys, "run", tmp_path / "scan.h5", "--spacing", 0.1, "--out", tmp_path / "out")
    assert "dataset" in line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"study": "s", "sample": []}, "unknown key 'sample'"),
        ({"samples": [{"name": "a", "fields": ["x/v.tif", "y/v.tif"]}]}, "two fields"),
    ],
)
def test_study_file_that_is_wrong(tmp_path, capsys, content, message):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content))
    assert message in refused(capsys, "run", path)
    assert [item.name for item in tmp_path.iterdir()] == ["study.yaml"]


def test_output_folder_of_another_study(tmp_path, capsys):
    from tomostat.layout import Layout

    Manifest(Layout(tmp_path / "out"), "theirs").create()
    before = snapshot(tmp_path / "out")
    line = refused(capsys, "run", volume(tmp_path), "--spacing", 0.1, "--out", tmp_path / "out")
    assert "theirs" in line
    assert snapshot(tmp_path / "out") == before


def test_no_right_to_write(tmp_path, capsys):
    if os.geteuid() == 0:
        target = Path("/proc/tomostat")  # root may write anywhere else
    else:
        (tmp_path / "closed").mkdir(mode=0o500)
        target = tmp_path / "closed" / "out"
    line = refused(capsys, "run", volume(tmp_path), "--spacing", 0.1, "--out", target)
    assert str(target.parent) in line


def test_weights_that_are_none(tmp_path, capsys):
    (tmp_path / "w.safetensors").write_bytes(b"\x80\x04not weights")
    out = tmp_path / "out"
    line = refused(
        capsys, "run", volume(tmp_path), "--spacing", 0.1, "--out", out, "--detect.weights", tmp_path / "w.safetensors"
    )
    assert "w.safetensors" in line
    assert not out.exists()


def test_unknown_option_and_command(tmp_path, capsys):
    assert "--foo" in refused(capsys, "phases", tmp_path, "--foo")
    assert "frobnicate" in refused(capsys, "frobnicate")
    assert "smoothing" in refused(capsys, "phases", tmp_path, "--smoothing", -1)


def test_a_stage_asks_for_the_one_before(tmp_path, capsys, place):
    out = tmp_path / "out"
    assert cli.main(["ingest", str(volume(tmp_path)), "--spacing", "0.1", "--out", str(out), *place]) == 0
    capsys.readouterr()
    before = snapshot(out / "fields")
    assert "tomostat phases" in refused(capsys, "detect", out, "--detector", "watershed", *place)
    assert snapshot(out / "fields") == before


def test_info_tells_what_is_there(tmp_path, capsys):
    assert cli.main(["info", str(volume(tmp_path))]) == 0
    assert "16 x 48 x 48" in capsys.readouterr().out
    assert "none" in refused(capsys, "info", tmp_path / "none")


def test_help_names_every_stage(capsys):
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    for stage in ("simulate", "ingest", "phases", "detect", "stitch", "measure", "analyze", "report", "run", "info"):
        assert stage in out


@pytest.mark.slow
def test_commands_say_no_more_than_they_must(tmp_path):
    """In a process of its own: `distributed` sets its own levels when it is first imported."""
    words = ["simulate", str(tmp_path / "demo"), "--shape", "16", "48", "48", "--fields", "1", "--conditions", "a=0.1"]
    call = f"from tomostat.cli import main; main({words!r})"
    done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=True)
    assert "INFO" not in done.stdout + done.stderr
    assert (tmp_path / "demo").exists()


def test_words_without_a_meaning(tmp_path, capsys):
    assert refused(capsys, "report", tmp_path, "--again", "twice").startswith("tomostat: 'twice' has no meaning here")


def test_a_reader_that_has_seen_enough():
    run = subprocess.Popen(
        [sys.executable, "-m", "tomostat.cli", "info", "--columns"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert run.stdout is not None
    run.stdout.close()
    assert run.stderr is not None
    assert run.stderr.read() == b""
    run.stderr.close()
    assert run.wait() == 141


def test_another_broken_pipe_is_an_error(monkeypatch, capsys):
    def broken(*words, **options):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(sys.modules["tomostat.cli.main"], "app", broken)
    assert cli.main(["info", "--columns"]) == 2
    assert "Broken pipe" in capsys.readouterr().err
