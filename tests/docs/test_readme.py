"""The README keeps its word: its example runs as printed, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tomostat.study import load_study

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.slow
def test_the_python_example_runs_as_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("python")
    exec(compile(example, "README.md", "exec"), {"__name__": "__main__"})
    said = capsys.readouterr().out
    assert "detachment" in said
    assert "{'z': 48, 'y': 128, 'x': 128}" in said
    assert (tmp_path / "electrode-results" / "report" / "index.html").exists()


def test_the_study_file_is_one(tmp_path):
    (example,) = blocks("yaml")
    for sample in yaml.safe_load(example)["samples"]:
        for field in sample["fields"]:
            (tmp_path / (field if isinstance(field, str) else field["path"])).touch()
    (tmp_path / "study.yaml").write_text(example, encoding="utf-8")
    study = load_study(tmp_path / "study.yaml")
    assert [sample.condition for sample in study.samples] == ["0.1C", "1C"]
    assert study.options["stitch"].max_gap == 2


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", TEXT))
def test_links_lead_somewhere(target):
    assert target.startswith("https://") or (ROOT / target).exists(), target
