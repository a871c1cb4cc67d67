"""Scores of several segmentations as table and pictures, from Python and from the command line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tifffile
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from scipy.ndimage import binary_erosion

from annotation_files import SQUARE, write_via
from tomostat import cli
from tomostat.kernels.score import Outcome
from tomostat.report.scores import TINTS, draw_outcomes
from tomostat.report.style import colour


def drawn_outcomes(picture):
    """Outcomes whose colour, 45 % over true objects in white and false ones in black, fills part of a picture.

    What is not annotated is grey, as single pixels between black and white may be too: squares of 5 pixels count.
    """
    found = set()
    for kind, (_, tint) in TINTS.items():
        fill = 0.45 * np.array(to_rgb(tint)) + (0.0 if kind == Outcome.FALSE else 0.55)
        alike = np.abs(picture - fill).max(axis=2) < 0.01
        if alike.sum() > 100 and binary_erosion(alike, np.ones((5, 5))).any():
            found.add(kind)
    return found


def test_evaluate_writes_table_and_pictures(tmp_path, true_and_found, capsys):
    truth, found = true_and_found
    paths = [tmp_path / f"{name}.tif" for name in ("truth", "network", "watershed", "grey")]
    for path, image in zip(paths, (truth, found, truth, (truth > 0).astype(np.uint8)), strict=True):
        tifffile.imwrite(path, image)
    images = [str(p) for p in paths[:3]]
    assert cli.main(["evaluate", *images, "--to", str(tmp_path / "out"), "--grey", str(paths[3])]) == 0
    printed = capsys.readouterr().out
    assert printed.split()[:2] == ["network", "watershed"]
    table = pd.read_csv(tmp_path / "out" / "scores.csv", index_col="found")
    assert table.loc["watershed", "f1"] == 1
    assert table.loc["network", "splits"] == 1
    network, watershed = np.array_split(imread(tmp_path / "out" / "outcomes.png")[..., :3], 2, axis=1)
    everything = {Outcome.HIT, Outcome.MISSED, Outcome.SPLIT, Outcome.MERGED, Outcome.FALSE}
    assert drawn_outcomes(network) == everything
    assert drawn_outcomes(watershed) == {Outcome.HIT}
    metrics = imread(tmp_path / "out" / "metrics.png")[..., :3]
    for index in range(2):
        bar = np.abs(metrics - to_rgb(colour(index))).max(axis=2) < 0.01
        assert bar.sum() > 500, "bars of both segmentations"


def test_evaluate_refuses_what_does_not_fit(tmp_path, true_and_found, capsys):
    truth, found = true_and_found
    np.save(tmp_path / "truth.npy", truth)
    np.save(tmp_path / "found.npy", found[:20])
    assert cli.main(["evaluate", str(tmp_path / "truth.npy")]) == 2
    assert "one or more label images" in capsys.readouterr().err
    assert cli.main(["evaluate", str(tmp_path / "truth.npy"), str(tmp_path / "found.npy")]) == 2
    assert "expected the same" in capsys.readouterr().err
    assert cli.main(["evaluate", str(tmp_path / "truth.npy"), str(tmp_path / "absent.npy")]) == 2


def test_a_section_of_a_volume_is_drawn(true_and_found):
    truth, found = (np.stack([0 * image, image]) for image in true_and_found)
    assert len(draw_outcomes(truth, {"a": found, "b": truth}).axes) == 2
    with pytest.raises(ValueError, match="slice is 2"):
        draw_outcomes(truth, {"a": found}, section=2)
    with pytest.raises(ValueError, match="grey has shape"):
        draw_outcomes(truth, {"a": found}, grey=found[0])


def test_labels_of_any_type_and_size(tmp_path, true_and_found, capsys):
    truth, _ = true_and_found
    np.save(tmp_path / "truth.npy", truth)
    images = {
        "far": truth.astype(np.uint64) * 10**14,
        "float": truth.astype(np.float32),
        "slice": truth[None],
    }
    for name, image in images.items():
        np.save(tmp_path / f"{name}.npy", image)
    paths = [str(tmp_path / f"{name}.npy") for name in images]
    assert cli.main(["evaluate", str(tmp_path / "truth.npy"), *paths, "--to", str(tmp_path / "out")]) == 0
    assert pd.read_csv(tmp_path / "out" / "scores.csv", index_col="found").f1.tolist() == [1, 1, 1]
    for name, image, words in (
        ("half", truth + 0.5, "half.npy holds float64 voxels that are no whole numbers"),
        ("below", truth.astype(int) - 1, "below.npy: the lowest label is -1"),
    ):
        np.save(tmp_path / f"{name}.npy", image)
        assert cli.main(["evaluate", str(tmp_path / "truth.npy"), str(tmp_path / f"{name}.npy")]) == 2
        assert words in capsys.readouterr().err


def test_annotations_are_the_truth(tmp_path, capsys):
    """A found object where the truth is to be ignored does not count."""
    tifffile.imwrite(tmp_path / "a.tif", np.random.default_rng(0).integers(0, 255, (60, 80)).astype(np.uint8))
    path = write_via(tmp_path, [(SQUARE, "p"), ([[40.0, 40.0], [40.0, 55.0], [55.0, 55.0]], "ignore")])
    found = np.zeros((60, 80), np.uint8)
    found[10:30, 10:30], found[41:44, 50:54] = 1, 2
    np.save(tmp_path / "found.npy", found)
    assert cli.main(["evaluate", str(path), str(tmp_path / "found.npy")]) == 0
    printed = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert (printed["found"], printed["f1"]) == ("1", "1.0000")


def test_an_annotation_file_is_truth(tmp_path, capsys):
    """What lies outside of the outlines counts as found falsely; a plane is the same as a volume of one slice."""
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((60, 80), np.uint8))
    truth = write_via(tmp_path, [(SQUARE, "particle")])
    found = np.zeros((1, 60, 80), np.uint8)
    found[:, 10:30, 10:30], found[:, 40:50, 40:50] = 1, 2
    tifffile.imwrite(tmp_path / "found.tif", found)
    assert cli.main(["evaluate", str(truth), str(tmp_path / "found.tif")]) == 0
    printed = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert (printed["truth"], printed["found"], printed["matched"]) == ("1", "2", "1")
