"""What the page lists about the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from tomostat.report import Provenance
from tomostat.report.provenance import plain
from tomostat.study import Field, Sample, Study


def test_listings_are_yaml_of_what_is_known() -> None:
    fields = (Field(path=Path("scan.tif"), spacing=(0.1, 0.1, 0.1)),)
    study = Study(study="cells", output=Path("out"), samples=(Sample(name="a", fields=fields, condition="1C"),))
    listed = Provenance(study=study, seconds={"ingest": 1.5}).listings()
    assert list(listed) == ["Options of every stage", "Study", "Seconds per stage", "Versions"]
    values = {heading: yaml.safe_load(text) for heading, text in listed.items()}
    assert values["Study"]["study"] == "cells"
    assert "options" not in values["Study"]
    assert values["Study"]["samples"][0]["fields"][0]["spacing"] == [0.1, 0.1, 0.1]
    assert values["Options of every stage"]["analyze"]["size_split"] == 11.0
    assert values["Seconds per stage"] == {"ingest": 1.5}
    assert values["Versions"]["numpy"] == np.__version__
    assert list(Provenance().listings()) == ["Versions"]


def test_plain_values() -> None:
    assert plain({"a": np.float64(1.5), 2: (Path("/a/x"), None, True)}) == {"a": 1.5, "2": ["x", None, True]}
