"""The how-to pages keep their word: their code, put where they say, is all that is needed."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import tomostat
from studies import UP_TO_TABLE
from tables import study as table_of_study
from tomostat import pipeline, stage
from tomostat.analyze import AnalyzeOptions, analyze_particles
from tomostat.datasets import open_particles
from tomostat.detect import make_detector
from tomostat.detect.options import DetectOptions
from tomostat.ingest import probe
from tomostat.instances import read_instances
from tomostat.measure import MeasureOptions, all_columns, chosen_measures, measures
from tomostat.phantom import PhantomOptions, simulate_volume
from tomostat.report import write_report
from tomostat.stage import all_stages
from tomostat.study import load_study, study_of_volume
from tomostat.volume import open_volume

PAGES = Path(__file__).parents[2] / "docs" / "how-to"


def code_of(page: str) -> dict[str, str]:
    """Python files that a page shows, by their path."""
    blocks = re.findall(r"```python\n# (tomostat/\S+\.py)\n(.*?)```", (PAGES / page).read_text(), re.DOTALL)
    return dict(blocks)


@pytest.fixture
def added(tmp_path, monkeypatch):
    """Put the files of a page beside tomostat's own for the length of a test."""

    def add(page: str) -> None:
        for path, text in code_of(page).items():
            target = tmp_path / "added" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            package = importlib.import_module(".".join(Path(path).parts[:1]))
            for part in Path(path).parent.parts[1:]:  # as far as the folders exist
                try:
                    package = importlib.import_module(f"{package.__name__}.{part}")
                except ModuleNotFoundError:
                    (tmp_path / "added" / package.__name__.replace(".", "/") / part / "__init__.py").touch()
                    break
            folder = str(tmp_path / "added" / package.__name__.replace(".", "/"))
            if folder not in package.__path__:
                monkeypatch.setattr(package, "__path__", [*package.__path__, folder])
        importlib.invalidate_caches()
        stage.all_stages.cache_clear()
        measures.built_in.cache_clear()

    yield add
    monkeypatch.undo()
    for name, module in list(sys.modules.items()):  # tomostat's own stay: a second import would make other classes
        if name.startswith("tomostat.") and str(tmp_path) in str(getattr(module, "__file__", "")):
            del sys.modules[name]
    stage.all_stages.cache_clear()
    measures.built_in.cache_clear()


@pytest.fixture
def electrode(tmp_path) -> Path:
    return simulate_volume(tmp_path / "v.zarr", PhantomOptions(shape=(24, 64, 64), diameters=(4.0, 7.0)))


def test_a_measure_is_one_file(added, electrode, tmp_path):
    added("add-a-measure.md")
    assert {"box_fill", "median_grey"} <= set(all_columns(chosen_measures(MeasureOptions())))
    study = study_of_volume(electrode, tmp_path / "out")
    study = study.with_options(detect=DetectOptions(detector="watershed"))
    particles = open_particles(pipeline.run(study, stages=UP_TO_TABLE).particles)
    fill = particles["box_fill"].to_numpy()
    assert ((fill > 0.2) & (fill <= 1)).all()
    assert particles["box_fill"].attrs["units"] == "1"
    known = ~particles["too_small"].to_numpy()
    assert np.isfinite(particles["median_grey"].to_numpy()[known]).all()
    assert {"report", "statistics"} <= set(particles["box_fill"].attrs["shown"])


def test_a_stage_is_one_package(added, electrode, tmp_path):
    added("add-a-stage.md")
    assert [one.name for one in all_stages()].index("porosity") > [one.name for one in all_stages()].index("phases")
    study = study_of_volume(electrode, tmp_path / "out")
    layout = pipeline.run(study, stages=["ingest", "phases", "porosity"])
    table = layout.root / "porosity" / "v.csv"
    shares = np.loadtxt(table, delimiter=",", skiprows=1)
    phases = open_volume(layout.volume("v"), "phases").values
    np.testing.assert_allclose(shares[:, 1], (phases == 0).mean(axis=(1, 2)), atol=1e-6)
    written = table.stat().st_mtime_ns
    pipeline.run(study, stages=["porosity"])
    assert table.stat().st_mtime_ns == written, "what is finished is not run again"
    content = yaml.safe_load((tmp_path / "out" / "study.yaml").read_text())
    assert content["porosity"] == {"slices": 1}
    content["porosity"] = {"slices": 4}
    (tmp_path / "out" / "study.yaml").write_text(yaml.safe_dump(content))
    pipeline.run(load_study(tmp_path / "out" / "study.yaml"), stages=["porosity"])
    assert len(table.read_text().splitlines()) == 1 + 24 // 4
    content["porosity"] = {"slices": 0}
    (tmp_path / "out" / "study.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match="slices is 0; expected 1 or more"):
        load_study(tmp_path / "out" / "study.yaml")


def test_a_stage_has_a_command(added):
    """In a process of its own: commands are made when the command line is imported."""
    added("add-a-stage.md")
    folders = [path for path in tomostat.__path__ if "added" in path]
    code = (
        f"import tomostat; tomostat.__path__ += {folders!r}; from tomostat import cli; "
        "cli.main(['porosity', '--help']); cli.main(['run', '--help'])"
    )
    import subprocess

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "Average the share of pores over slices." in said
    assert "--slices" in said
    assert "--porosity.slices" in said


def test_a_reader_is_one_file(added, tmp_path):
    added("add-a-reader.md")
    grey = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)
    (tmp_path / "a.stk").write_bytes(b"STK 4 5 6 0.2\n" + grey.tobytes())
    source = probe(tmp_path / "a.stk")
    assert (source.kind, source.shape, source.spacing) == ("STK", (4, 5, 6), (0.2, 0.2, 0.2))
    np.testing.assert_array_equal(source.read((slice(1, 3), slice(0, 5), slice(2, 6))), grey[1:3, :, 2:])


def test_a_detector_is_one_file(added, electrode, tmp_path):
    added("add-a-detector.md")
    options = DetectOptions(detector="components", settings={"least": 50})
    assert make_detector(options).least == 50
    study = study_of_volume(electrode, tmp_path / "out").with_options(detect=options)
    layout = pipeline.run(study, stages=["ingest", "phases", "detect"])
    assert read_instances(layout.instances("v")).area.min() >= 50


def test_a_format_is_one_file(added, study, results, tmp_path):
    added("add-a-format.md")
    (folder,) = tomostat.export_study(study, tmp_path / "to", ["xyz"])
    count, units, *lines = (folder / "slow-1.xyz").read_text().splitlines()
    assert (int(count), units) == (len(lines), "micrometer")
    assert sorted(path.name for path in folder.iterdir()) == ["fast-1.xyz", "slow-1.xyz"]


def test_results_are_opened_without_export(results, tmp_path, monkeypatch):
    """The page's example, on a field of its name."""
    monkeypatch.chdir(tmp_path)
    Path("results/fields").mkdir(parents=True)
    Path("results/fields/a1.zarr").symlink_to(results.volume("slow-1"))
    (example,) = re.findall(r"```python\n(.*?)```", (PAGES / "use-results-elsewhere.md").read_text(), re.DOTALL)
    found: dict = {}
    exec(compile(example, "use-results-elsewhere.md", "exec"), found)
    np.testing.assert_array_equal(found["grey"], open_volume(results.volume("slow-1")))
    np.testing.assert_array_equal(found["particles"], open_volume(results.volume("slow-1"), "particles"))


@pytest.mark.slow
def test_a_figure_is_one_file(added, tmp_path):
    added("add-a-figure.md")
    particles = table_of_study(fields=2)
    particles["packing"] = ("particle", np.linspace(0, 1, particles.sizes["particle"]))
    write_report(
        tmp_path / "report", particles, analyze_particles(particles, options=AnalyzeOptions(resamples=100)), {}
    )
    page = (tmp_path / "report" / "index.html").read_text()
    assert '<section id="packing">' in page
    assert "Share of the shell around a particle" in page
    assert (tmp_path / "report" / "figures" / "packing.svg").exists()
