"""Scores of several segmentations as table and pictures, from Python and from the command line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tifffile

from tomostat import cli
from tomostat.kernels.score import Outcome, outcomes, score_labels
from tomostat.report.scores import draw_outcomes


@pytest.fixture
def scene():
    """True objects 1 to 4 and found ones: a hit, a split, a merge of two, and one that is false."""
    truth, found = np.zeros((2, 40, 60), np.int32)
    truth[2:12, 2:12], truth[2:12, 20:40], truth[20:30, 2:12], truth[20:30, 13:23], truth[32:38, 50:58] = 1, 2, 3, 4, 7
    found[3:12, 2:12], found[2:12, 20:30], found[2:12, 30:40] = 5, 6, 7
    found[20:30, 2:23] = 8
    found[20:28, 40:48] = 9
    return truth, found


def test_outcomes_are_what_a_person_would_say(scene):
    truth, found = outcomes(*scene)
    assert [Outcome(truth[i]).name for i in (1, 2, 3, 4, 7)] == ["HIT", "SPLIT", "MERGED", "MERGED", "MISSED"]
    assert [Outcome(found[i]).name for i in (5, 8, 9)] == ["HIT", "MERGED", "FALSE"]
    assert {Outcome(found[i]).name for i in (6, 7)} == {"HIT", "SPLIT"}  # one half passes an IoU of 0.5
    assert outcomes(*scene, on_truth=0.2)[1][9] == Outcome.OFF_TRUTH
    assert truth[5] == Outcome.NONE


@pytest.mark.parametrize("seed", range(5))
def test_outcomes_count_as_scores_do(seed):
    rng = np.random.default_rng(seed)
    truth, found = (np.kron(rng.integers(0, 9, (6, 6)), np.ones((5, 5), int)) for _ in range(2))
    scores, (of_truth, of_found) = score_labels(truth, found), outcomes(truth, found)
    assert (of_truth == Outcome.SPLIT).sum() == scores.splits
    assert (of_found == Outcome.MERGED).sum() == scores.merges
    assert (of_truth > 0).sum() == scores.truth
    assert (of_found > 0).sum() == scores.found


def test_evaluate_writes_table_and_pictures(tmp_path, scene, capsys):
    truth, found = scene
    paths = [tmp_path / f"{name}.tif" for name in ("truth", "network", "watershed", "grey")]
    for path, image in zip(paths, (truth, found, truth, (truth > 0).astype(np.uint8)), strict=True):
        tifffile.imwrite(path, image)
    told = [str(p) for p in paths[:3]]
    assert cli.main(["evaluate", *told, "--to", str(tmp_path / "out"), "--grey", str(paths[3])]) == 0
    printed = capsys.readouterr().out
    assert printed.split()[:2] == ["network", "watershed"]
    rows = pd.read_csv(tmp_path / "out" / "scores.csv", index_col="found")
    assert rows.loc["watershed", "f1"] == 1
    assert rows.loc["network", "splits"] == 1
    for name in ("metrics.png", "outcomes.png"):
        assert (tmp_path / "out" / name).stat().st_size > 5000


def test_evaluate_refuses_what_does_not_fit(tmp_path, scene, capsys):
    truth, found = scene
    np.save(tmp_path / "truth.npy", truth)
    np.save(tmp_path / "found.npy", found[:20])
    assert cli.main(["evaluate", str(tmp_path / "truth.npy")]) == 2
    assert "one or more label images" in capsys.readouterr().err
    assert cli.main(["evaluate", str(tmp_path / "truth.npy"), str(tmp_path / "found.npy")]) == 2
    assert "expected the same" in capsys.readouterr().err
    assert cli.main(["evaluate", str(tmp_path / "truth.npy"), str(tmp_path / "absent.npy")]) == 2


def test_a_section_of_a_volume_is_drawn(scene):
    truth, found = (np.stack([0 * image, image]) for image in scene)
    assert len(draw_outcomes(truth, {"a": found, "b": truth}).axes) == 2
    with pytest.raises(ValueError, match="slice is 2"):
        draw_outcomes(truth, {"a": found}, section=2)
    with pytest.raises(ValueError, match="grey has shape"):
        draw_outcomes(truth, {"a": found}, grey=found[0])
