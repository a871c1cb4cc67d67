"""`tomostat info`: what a path holds, and lists of columns, formats, detectors and measures."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import tifffile

from reports import make_field
from sources import GREY, hdf5
from tables import declared, study
from tomostat import cli
from tomostat.analyze import AnalyzeOptions, analyze_particles
from tomostat.info import condition_table, describe_path, result_table
from tomostat.layout import Layout
from tomostat.measure import Measure, of_particle, write_particles
from tomostat.measure.measures import DTYPES


@of_particle(Measure(name="colour", units="1", long_name="colour of the particle"))
def colour(particle: object) -> dict[str, float]:
    """A measure of another package."""
    return {"colour": 1.0}


def info(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What the command prints."""
    assert not cli.main(["info", *map(str, arguments)])
    return capsys.readouterr().out


def test_results_say_how_many_particles_are_used() -> None:
    particles = study(particles=6, fields=1)
    border = particles["touches_border"].values
    border[:] = True
    border[6:] = False  # all of the second condition
    border[0] = False
    table = result_table(analyze_particles(particles, options=AnalyzeOptions(resamples=100)))
    rows = {line.split()[0]: line.split() for line in table.splitlines()}
    assert rows["0.1C"][-3:] == ["1", "5", "0"]
    assert rows["1C"][-3:] == ["6", "0", "0"]
    assert "those at the border of a field are left out, the others weighted for it" in table
    assert "0.1C: 1 particle used, too few to speak for the electrode" in table
    assert "too few" not in result_table(analyze_particles(study(), options=AnalyzeOptions(resamples=100)))


def test_columns_have_unit_meaning_definition(capsys: pytest.CaptureFixture[str]) -> None:
    lines = info(capsys, "--columns").splitlines()
    heads = [line for line in lines if not line.startswith(" ")]
    assert [line.split(" [")[0] for line in heads] == list(declared())
    for name, measure in declared().items():
        place = lines.index(next(line for line in heads if line.startswith(f"{name} [")))
        assert f"[{measure.units or 'no unit'}]" in lines[place]
        assert lines[place].endswith(f": {measure.long_name}")
        assert measure.definition, name
        assert lines[place + 1] == f"    {measure.definition}"
        if measure.missing:
            assert lines[place + 2] == f"    missing: {measure.missing}"
        assert measure.dtype in DTYPES
    assert "centroid [micrometer] by axis: " in "\n".join(lines)


def test_formats_and_detectors(capsys: pytest.CaptureFixture[str]) -> None:
    formats = info(capsys, "--formats")
    names = [line.split()[0] for line in formats.split("\n\n")[0].splitlines()]
    assert names[1:] == [
        "hdf5",
        "itk",
        "npy",
        "picture",
        "raw",
        "tiff",
        "zarr",
    ]
    assert "OME-Zarr" in formats
    assert info(capsys, "--detectors").split()[:2] == ["maskrcnn", "watershed"]
    assert info(capsys, "--detectors", "--formats").count("\n") >= 7


def test_measures_of_installed_packages(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tomostat.plugins.entry_points", lambda group: [])
    assert info(capsys, "--measures") == "no installed package offers measures\n"
    point = EntryPoint("colours", f"{__name__}:colour", "tomostat.measures")
    monkeypatch.setattr("tomostat.plugins.entry_points", lambda group: [point] if group == point.group else [])
    monkeypatch.setattr(EntryPoint, "load", lambda self: colour)
    assert info(capsys, "--measures").split() == ["colours", "colour"]


def test_neither_path_nor_list_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 2
    assert "--columns" in capsys.readouterr().err


def test_volumes(tmp_path: Path) -> None:
    make_field(tmp_path / "a.zarr", count=2)
    lines = describe_path(tmp_path / "a.zarr").splitlines()
    assert lines[0].startswith("grey: 16 x 48 x 56 voxels of 0.5 x 0.4 x 0.4 micrometer, uint8")
    assert [line.split(":")[0] for line in lines] == ["grey", "labels/particles", "labels/phases"]
    tifffile.imwrite(tmp_path / "scan.tif", np.zeros((5, 8, 9), np.uint8))
    expected = f"{tmp_path / 'scan.tif'}: TIFF: 5 x 8 x 9 uint8, voxel size unknown"
    assert describe_path(tmp_path / "scan.tif") == expected
    named = hdf5(tmp_path / "two.h5", {"a": GREY, "b": GREY[:, :9]})
    assert describe_path(Path(f"{named}:b")) == f"{named}:b: HDF5, dataset b: 6 x 9 x 85 uint16, voxel size unknown"
    for missing in ("none.zarr", "none.h5:a"):
        with pytest.raises(FileNotFoundError, match=r"nothing at \S+none\.\w+$"):
            describe_path(tmp_path / missing)


def test_a_study_file(tmp_path: Path) -> None:
    study = tmp_path / "s.yaml"
    study.write_text("study: rates\nsamples:\n- name: A\n  fields: [a.tif, b.tif]\n")
    assert "study rates: 1 sample, 2 fields of view; results in" in describe_path(study)


def test_particle_tables(tmp_path: Path) -> None:
    table = study(particles=5, fields=2)
    write_particles(tmp_path / "particles.zarr", table)
    text = describe_path(tmp_path / "particles.zarr")
    assert text.startswith("20 particles\n")
    line = next(line for line in text.splitlines() if line.startswith("equivalent_diameter"))
    assert line.split()[1] == "micrometer"
    assert line.endswith("diameter of the ball of equal volume")


def test_the_table_as_csv_is_described_as_the_table(tmp_path: Path) -> None:
    write_particles(tmp_path / "particles.zarr", study())
    (tmp_path / "particles.csv").touch()
    assert describe_path(tmp_path / "particles.csv") == describe_path(tmp_path / "particles.zarr")


def test_a_folder_of_fields_names_them(results: Layout) -> None:
    name = next((results.root / "graph").iterdir()).name
    with pytest.raises(
        ValueError, match=f"graph is part of an output folder and holds {name}.*; name one of these, or"
    ):
        describe_path(results.root / "graph")
    assert "particles" in describe_path(results.root / "graph" / name)


def test_means_per_condition() -> None:
    table = study(particles=5, fields=2)
    head, _, first, second = condition_table(table).splitlines()
    assert head.split() == ["condition", "fields", "particles", "diameter", "um", "detachment", "resistance"]
    slow = table.isel(particle=np.flatnonzero(table["condition"].values == "0.1C"))
    means = [f"{float(slow[name].mean()):.3f}" for name in ("equivalent_diameter", "detachment", "resistance_mean")]
    assert first.split() == ["0.1C", "2", "10", *means]
    assert second.split()[:3] == ["1C", "2", "10"]
    assert condition_table(table.isel(particle=slice(0, 0))).endswith("no particle")


def test_a_simulated_volume_is_a_volume(simulated: Path) -> None:
    """Though a table of its truth lies in its folder."""
    lines = describe_path(simulated.parent / "volumes" / "slow-1.zarr").splitlines()
    assert lines[0] == "grey: 24 x 80 x 80 voxels of 0.2 x 0.2 x 0.2 micrometer, uint8, 2 levels"
    assert any(line.startswith("labels/truth_particles: ") for line in lines)
