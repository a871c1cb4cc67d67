"""`tomostat try`: what it finds and draws in a box, what it reads, and what it refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tifffile
from matplotlib.image import imread

from studies import WATERSHED
from tomostat import cli
from tomostat.blocks import box_text, parse_box
from tomostat.ingest import IngestOptions, find_source
from tomostat.ingest.source import PartSource
from tomostat.phases import PhasesOptions
from tomostat.preview import preview
from tomostat.report.preview import BINS, bin_edges
from tomostat.study import Study, load_study, study_of_volume
from tomostat.volume import open_volume


@pytest.fixture(scope="module")
def grey(simulated: Path) -> np.ndarray:
    """Grey values (24, 80, 80) of a simulated field."""
    return open_volume(load_study(simulated).fields[0].path).values


@pytest.fixture(scope="module")
def scan(grey: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The field as a TIFF without voxel size."""
    path = tmp_path_factory.mktemp("scan") / "scan.tif"
    tifffile.imwrite(path, grey)
    return path


def study_of(path: Path, **options: object) -> Study:
    """The study of one volume, with the watershed."""
    return study_of_volume(path, path.parent / "results", spacing=0.2).with_options(detect=WATERSHED, **options)


def test_the_command_draws_a_box_and_names_what_it_found(scan, tmp_path, capsys):
    picture = tmp_path / "new" / "look.png"
    flags = ["--spacing", "0.2", "--box", "4:20,0:64,8:72", "--out", str(picture), "--detect.detector", "watershed"]
    assert cli.main(["try", str(scan), *flags]) == 0
    said = capsys.readouterr().out
    for words in ("voxels of 0.2 x 0.2 x 0.2 micrometers", "box 4:20,0:64,8:72",
                  "pore: grey level", "threshold carbon-binder | active material", "noise",
                  "in 16 slices", "settings: detect.detector watershed", f"picture: {picture}"):  # fmt: skip
        assert words in said
    assert imread(picture).shape[1] > 1500
    assert [path.name for path in scan.parent.iterdir()] == ["scan.tif"], "nothing is written into the output folder"


def test_it_warns_of_sizes_and_says_that_it_looks_along_z(scan, tmp_path, capsys):
    flags = ["--spacing", "200", "--out", str(tmp_path / "look.png"), "--detect.detector", "watershed"]
    assert cli.main(["try", str(scan), *flags, "--detect.views", "z", "y"]) == 0
    said = capsys.readouterr().out
    assert "warning: voxels of 200 x 200 x 200 micrometers are implausible" in said
    assert "(along z only)" in said


def test_it_finds_what_a_run_of_the_box_finds(grey, scan, tmp_path):
    box = (slice(4, 20), slice(0, 64), slice(8, 72))
    part = preview(study_of(scan), tmp_path / "part.png", box=box)
    tifffile.imwrite(tmp_path / "cut.tif", grey[box])
    alone = preview(study_of(tmp_path / "cut.tif"), tmp_path / "alone.png")
    assert (part.fit, part.outlines) == (alone.fit, alone.outlines)
    assert part.outlines > 0
    assert part.slices == 16


@pytest.mark.slow
def test_grey_levels_are_those_of_the_file(grey, scan, tmp_path):
    """Of a file with dark particles and with signed voxels: what is printed can be given as thresholds."""
    tifffile.imwrite(tmp_path / "dark.tif", (127 - grey.astype(np.int16)).astype(np.int8))
    turned = study_of(tmp_path / "dark.tif", ingest=IngestOptions(invert=True))
    bright, dark = (preview(one, tmp_path / "a.png").fit for one in (study_of(scan), turned))
    np.testing.assert_allclose(sorted(dark.thresholds), sorted(127 - value for value in bright.thresholds))
    assert dark.levels.active == pytest.approx(127 - bright.levels.active)
    assert dark.percentiles == pytest.approx((127 - bright.percentiles[1], 127 - bright.percentiles[0]))
    given = turned.with_options(phases=PhasesOptions(thresholds=tuple(sorted(dark.thresholds))))
    assert preview(given, tmp_path / "a.png").fit.thresholds == pytest.approx(dark.thresholds)


def test_only_the_box_is_read(scan, tmp_path, monkeypatch):
    read = []
    kind = type(find_source(scan).source)
    whole = kind.read
    monkeypatch.setattr(kind, "read", lambda source, box: read.append(box) or whole(source, box))
    preview(study_of(scan), tmp_path / "a.png", box=parse_box("4:20,0:64,8:72"))
    assert read
    assert all(4 <= z.start and z.stop <= 20 and y.stop <= 64 and x.start >= 8 for z, y, x in read)


@pytest.mark.slow
def test_a_field_of_a_study_is_named(simulated, tmp_path, capsys):
    flags = ["--field", "fast-1", "--box", "4:12,0:48,8:56", "--out", str(tmp_path / "a.png")]
    flags += ["--detect.detector", "watershed"]
    assert cli.main(["try", str(simulated), *flags]) == 0
    assert "fast-1" in capsys.readouterr().out


def test_boxes_are_read_as_they_are_written():
    box = (slice(1, 2), slice(0, 30), slice(7, 9))
    assert parse_box(box_text(box)) == box
    assert parse_box("1:2, 0:30, 7:9") == box


def test_a_part_of_a_source_is_that_part(grey, scan):
    part = PartSource.of(find_source(scan).source, parse_box("4:20,0:64,8:72"))
    np.testing.assert_array_equal(part.read_all(), grey[4:20, :64, 8:72])
    np.testing.assert_array_equal(part.read((slice(2, 3), slice(1, 5), slice(0, 9))), grey[6:7, 1:5, 8:17])
    assert part.attributes["part"] == "4:20,0:64,8:72"


@pytest.mark.parametrize("top", [20, 250, 60000])
def test_bins_of_whole_grey_values_hold_equally_many(top):
    grey = np.arange(top, dtype=np.float32)
    counts = np.histogram(grey, bin_edges(grey, (0.2 * top, 0.7 * top)))[0]
    assert len(set(counts[:-1])) == 1
    assert len(counts) <= BINS + 1
    assert len(bin_edges(grey + 0.3, (0.2 * top, 0.7 * top))) == BINS + 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--box", "4:20,0:64,8:90"], "box is 4:20,0:64,8:90; expected a part of"),
        (["--box", "20:4,0:64,8:72"], "box is 20:4,0:64,8:72; expected a slice or more"),
        (["--box", "4:20,0:8,8:72"], "32 voxels or more along y and x"),
        (["--box", "4:20"], "expected z0:z1,y0:y1,x0:x1"),
        (["--out", "look.jpg"], "expected a name that ends in .png"),
        (["--field", "b"], "there is no field 'b'; fields are scan"),
        (["--detect.detector", "none"], "none"),
    ],
)
def test_refusals(scan, tmp_path, monkeypatch, capsys, flags, words):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["try", str(scan), "--spacing", "0.2", *flags]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_missing_file_and_a_missing_voxel_size(scan, tmp_path, capsys):
    picture = ["--out", str(tmp_path / "a.png")]
    assert cli.main(["try", str(tmp_path / "none.tif"), *picture]) == 2
    assert "no file or folder at" in capsys.readouterr().err
    assert cli.main(["try", str(scan), *picture]) == 2
    assert "give spacing in micrometers" in capsys.readouterr().err


def test_a_field_of_another_program_has_nothing_to_try(scan, tmp_path):
    study = study_of(scan)
    (sample,) = study.samples
    labelled = dataclasses.replace(sample, fields=(dataclasses.replace(sample.fields[0], labels=scan),))
    with pytest.raises(ValueError, match="comes with labels or phases of another program"):
        preview(dataclasses.replace(study, samples=(labelled,)), tmp_path / "a.png")
