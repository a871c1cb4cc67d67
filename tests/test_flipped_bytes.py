"""Random bytes of an output folder are flipped: `tomostat check` finds every one."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from properties import DEEP
from studies import at
from tomostat import postprocess
from tomostat.inventory import files_below
from tomostat.layout import Layout
from tomostat.manifest import ALL
from tomostat.stage import FieldStage, all_stages

FLIPS = 10
"""Files in which one byte is flipped at a time."""


def written(layout: Layout, fields: list[str]) -> list[Path]:
    """All files that stages wrote."""
    outputs = [
        path
        for stage in all_stages()
        for scope in (fields if isinstance(stage, FieldStage) else [ALL])
        for path in stage.outputs(layout, scope)
    ]
    return sorted({path for path in files_below(layout.root, outputs) if path.stat().st_size})


@pytest.mark.parametrize("seed", range(20 if DEEP else 1))
def test_every_flipped_byte_is_found(results, study, tmp_path, seed):
    shutil.copytree(results.root, tmp_path / "copy")
    copy, rng = at(study, tmp_path / "copy"), random.Random(seed)
    spoilt = rng.sample(written(Layout(copy.output), [field.name for field in study.fields]), FLIPS)
    for path in spoilt:
        content = bytearray(path.read_bytes())
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
    lines = postprocess.check_files(copy)
    assert [path for path in spoilt if not any(line.startswith(f"{path} ") for line in lines)] == []
