"""A package outside tomostat, installed as users install one, brings a reader, a detector and a measure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from studies import BRIEF, UP_TO_ANALYSIS
from tomostat import cli
from tomostat.cli.studies import study_of
from tomostat.datasets import open_dataset, open_particles
from tomostat.detect import DETECTORS
from tomostat.instances import read_metadata
from tomostat.manifest import Content
from tomostat.measure.options import MeasureOptions
from tomostat.options import as_dict
from tomostat.phantom import PhantomOptions, make_scene, render
from tomostat.plugins import Registry

PACKAGE = Path(__file__).parent / "plugin"


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """An environment in which the package is installed."""
    target = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "plugin"
    subprocess.run(["cp", "-r", str(PACKAGE), str(source)], check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True)
    return {**os.environ, "PYTHONPATH": str(target)}


@pytest.fixture(scope="module")
def volume(tmp_path_factory) -> Path:
    """A small electrode in the format of the package."""
    options = PhantomOptions(shape=(24, 64, 64), diameters=(4.0, 7.0))
    grey = render(make_scene(options), (0, 0, 0), options.shape).grey
    path = tmp_path_factory.mktemp("scan") / "scan.stk"
    path.write_bytes(b"STK 24 64 64 0.2\n" + grey.tobytes())
    return path


def tomostat(*words: object, environment: dict[str, str], status: int = 0) -> str:
    """Run a command; what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "tomostat.cli", *map(str, words)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


RUN = f"""
import sys
from tomostat import pipeline
from tomostat.study import load_study

pipeline.run(load_study(sys.argv[1]), stages={UP_TO_ANALYSIS!r})
"""


@pytest.fixture(scope="module")
def results(environment, volume, tmp_path_factory) -> Path:
    """Results of a study file that names the detector and the measure."""
    folder = tmp_path_factory.mktemp("study")
    study = {
        "study": "plugins",
        "output": "out",
        "samples": [{"name": "cell", "condition": "1C", "fields": [str(volume)]}],
        "detect": {"detector": "blobs", "settings": {"least": 30}},
        "measure": {"extra": ["brightest"]},
        "analyze": {"border": "kept"},
        "report": as_dict(BRIEF),
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    words = [sys.executable, "-c", RUN, str(folder / "study.yaml")]
    subprocess.run(words, env=environment, check=True, capture_output=True)
    return folder / "out"


def test_the_package_is_listed(environment):
    said = tomostat("info", "--formats", "--detectors", "--measures", environment=environment)
    for words in ("stacked      stk", "blobs", "brightest            brightest"):
        assert words in said


def test_the_measure_is_in_table_csv_and_statistics(results):
    table = open_particles(results)
    assert table["brightest"].attrs["long_name"] == "brightest grey value inside the particle"
    assert (table["brightest"] >= table["mean_grey"]).all()
    assert "brightest" in pd.read_csv(results / "particles.csv").columns
    analysis = open_dataset(results / "analysis.zarr", "analysis", "tomostat analyze")
    assert "brightest" in analysis["quantity"].values
    assert np.isfinite(analysis["quantity_median"].sel(quantity="brightest", size="all")).all()


@pytest.mark.slow
def test_the_measure_is_in_the_report(results, environment):
    tomostat("report", results, "--workers", 1, environment=environment)
    page = (results / "report" / "index.html").read_text()
    assert "brightest grey" in page
    assert "brightest" in (results / "report" / "particles.csv").read_text().splitlines()[0]


def test_provenance_names_what_was_used(results):
    stages = Content.read(results).stages
    assert stages["scan/detect"].options["detector"] == "blobs"
    assert stages["scan/detect"].options["settings"] == {"least": 30}
    assert open_particles(results.parent / "out" / "tables" / "scan.zarr").attrs["plugins"] == ["brightest 1.2.3"]
    (table,) = (results / "instances" / "scan").glob("*.parquet")
    assert json.loads(json.dumps(read_metadata(table).options))["detector"] == "blobs"


KEYS = """
import sys
from pathlib import Path
from tomostat.pipeline import Run
from tomostat.stage import field_stage
from tomostat.study import load_study

def keys():
    running = Run.of(load_study(sys.argv[1]))
    return [running.key(running.study.fields[0].name, field_stage(name)) for name in ("ingest", "detect", "measure")]

print(*keys())
metadata = Path(sys.argv[2])
metadata.write_text(metadata.read_text().replace("Version: 1.2.3", "Version: 1.2.4"))
print(*keys())
"""


def test_name_and_version_enter_the_key_of_the_stage(results, environment):
    """Another version of the package makes what it computed stale."""
    (metadata,) = Path(environment["PYTHONPATH"]).glob("tomostat_example-*.dist-info/METADATA")
    text = metadata.read_text()
    words = [sys.executable, "-c", KEYS, str(results.parent / "study.yaml"), str(metadata)]
    try:
        said = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
    finally:
        metadata.write_text(text)
    before, after = (line.split() for line in said.splitlines())
    assert before == [Content.read(results).stages[f"scan/{name}"].key for name in ("ingest", "detect", "measure")]
    assert not set(before) & set(after)


@pytest.mark.slow
def test_an_error_names_the_plugin_and_the_particle(results, environment):
    said = tomostat(
        "measure",
        results,
        "--extra",
        "tomostat_example.measure:broken",
        "--workers",
        1,
        environment=environment,
        status=2,
    )
    assert said.strip().splitlines()[-1] == (
        "tomostat: tomostat_example.measure:broken failed at particle 2: ZeroDivisionError: no second particle, please"
    )


def test_a_study_file_names_no_objects(volume, tmp_path, capsys):
    study = {"samples": [{"name": "a", "fields": [str(volume)]}], "detect": {"detector": "os:system"}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    assert cli.main(["run", str(tmp_path / "study.yaml")]) == 2
    said = capsys.readouterr().err
    assert "a study file names installed plugins only, not objects: give --detect.detector os:system on the" in said
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


@pytest.mark.slow
def test_an_object_by_a_flag_is_not_imported_again_from_the_record(results, environment, tmp_path):
    out, words = tmp_path / "out", ("--workers", 1)
    subprocess.run(["cp", "-r", str(results), str(out)], check=True)
    detector = ("--detector", "tomostat_example.detector:make")
    tomostat("detect", out, *detector, *words, environment=environment)
    assert Content.read(out).stages["scan/detect"].options["detector"] == detector[1]
    said = tomostat("detect", out, *words, environment=environment, status=2)
    assert "give --detector tomostat_example.detector:make again" in said


def test_what_a_study_file_names_is_accepted_with_the_same_flag(volume, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(
        yaml.safe_dump({"samples": [{"name": "a", "fields": [str(volume)]}], "measure": {"extra": ["a:b", "c:d"]}})
    )
    with pytest.raises(ValueError, match=r"extra is 'a:b', 'c:d'; .* give --measure.extra a:b c:d on the command line"):
        study_of(path, None, None, None, None, {})
    flag = MeasureOptions(extra=("e:f",))
    assert study_of(path, None, None, None, None, {"measure": flag}).options["measure"].extra == ("e:f",)


def test_an_edited_module_is_another_version(tmp_path, monkeypatch):
    module = tmp_path / "edited_greeting.py"
    module.write_text("HELLO = 'hello'")
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry[str] = Registry("greeting", "tomostat.greetings", lambda value: isinstance(value, str), "text")
    first = registry.get("edited_greeting:HELLO").identity
    assert registry.get("edited_greeting:HELLO").identity == first
    module.write_text("HELLO = 'good day'")
    assert registry.get("edited_greeting:HELLO").identity != first


def test_objects_of_another_kind_are_refused():
    registry: Registry[str] = Registry("greeting", "tomostat.greetings", lambda value: isinstance(value, str), "text")
    assert registry.get("string:digits").value == "0123456789"
    with pytest.raises(ValueError, match="greeting 'string:Template' is a type; expected text"):
        registry.get("string:Template")
    with pytest.raises(ValueError, match="greeting 'string:none' cannot be imported"):
        registry.get("string:none")
    with pytest.raises(ValueError, match="there is no greeting 'hello'; known are none"):
        registry.get("hello")


def test_an_object_of_the_current_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / "beside_me.py").write_text("make = print\n")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])
    with pytest.raises(ValueError, match="cannot be imported: No module named 'beside_me'"):
        DETECTORS.get("beside_me:make")
    monkeypatch.chdir(tmp_path)
    assert DETECTORS.get("beside_me:make").value is print
