"""Where a command works: on workers, or in its own process where they would take longer to start."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

import tomostat.cluster
from shapes import ball_at
from studies import digest
from tomostat import cli
from tomostat.ingest.stage import INGEST


@pytest.fixture
def ingest(tmp_path):
    """Ingests a small volume into a folder, with more words on the command line; gives the exit status."""
    grey = 60 + 120 * ball_at((32, 128, 128), (16, 64, 64), 12)
    tifffile.imwrite(tmp_path / "e.tif", grey.astype(np.uint8))

    def ingest(out, *words):
        return cli.main(["ingest", str(tmp_path / "e.tif"), "--spacing", "1", "--out", str(out), *words])

    return ingest


class Started(Exception):
    """A cluster would be started."""


@pytest.fixture
def no_cluster(monkeypatch):
    """Workers cannot be started."""

    def start(*_, **__):
        raise Started

    monkeypatch.setattr(tomostat.cluster, "open_cluster", start)


@pytest.mark.usefixtures("no_cluster")
def test_a_small_volume_is_ingested_in_this_process(tmp_path, ingest):
    assert ingest(tmp_path / "out") == 0
    assert (tmp_path / "out" / "fields" / "e.zarr").is_dir()


@pytest.mark.usefixtures("no_cluster")
@pytest.mark.parametrize("words", [("--workers", "2"), ("--dashboard",), ("--cluster", "tcp://host:1")])
def test_what_the_command_line_says_of_workers_holds(tmp_path, ingest, capsys, words):
    assert ingest(tmp_path / "out", *words) != 0
    assert "Started" in capsys.readouterr().err


@pytest.mark.usefixtures("no_cluster")
def test_a_larger_volume_has_workers(tmp_path, ingest, monkeypatch, capsys):
    monkeypatch.setattr(type(INGEST), "small", 32 * 128 * 128 - 1)
    assert ingest(tmp_path / "out") != 0
    assert "Started" in capsys.readouterr().err


def test_both_ways_give_the_same_volume(tmp_path, ingest, place):
    assert ingest(tmp_path / "here") == 0
    assert ingest(tmp_path / "workers", *place) == 0
    one, other = (digest(tmp_path / name / "fields" / "e.zarr" / "0") for name in ("here", "workers"))
    assert one == other
