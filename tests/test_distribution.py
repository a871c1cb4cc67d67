"""The wheel and the sdist hold what a run needs, and work in an empty environment outside of the clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def run(*command: object, where: Path) -> str:
    """Run a program without this checkout in its path, and give what it says."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(list(map(str, command)), cwd=where, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, f"{command[:4]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both, built from a copy of what belongs to the package."""
    pytest.importorskip("build", reason="build is not installed: `pip install build`")
    folder = tmp_path_factory.mktemp("distributions")
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder / "net", "setuptools"],
        capture_output=True,
    )
    if asked.returncode:
        pytest.skip("no package index can be reached")
    source = folder / "source"
    shutil.copytree(ROOT / "tomostat", source / "tomostat", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "CITATION.cff", "MANIFEST.in"):
        shutil.copy(ROOT / name, source / name)
    run(sys.executable, "-m", "build", "--outdir", folder / "dist", source, where=folder)
    return folder / "dist"


def test_both_hold_weights_assets_and_licences(distributions):
    (wheel,), (sdist,) = distributions.glob("*.whl"), distributions.glob("*.tar.gz")
    in_wheel = zipfile.ZipFile(wheel).namelist()
    with tarfile.open(sdist) as archive:
        in_sdist = [name.partition("/")[2] for name in archive.getnames()]
    needed = [path.relative_to(ROOT) for path in (ROOT / "tomostat").rglob("*") if path.is_file()]
    needed = [str(path) for path in needed if "__pycache__" not in path.parts]
    assert set(needed) <= set(in_wheel), "all files of the package"
    assert set(needed) <= set(in_sdist)
    assert {"tomostat/detect/weights/fast.safetensors", "tomostat/report/assets/page.html"} <= set(needed)
    for licence in ("LICENSE", "tomostat/report/assets/vendor/plotly-gl3d.LICENSE"):
        assert any(name.endswith(f"dist-info/licenses/{licence}") for name in in_wheel)
    assert "CITATION.cff" in in_sdist
    assert wheel.stat().st_size < 50e6


def test_the_wheel_works_in_an_empty_environment(distributions, tmp_path):
    (wheel,) = distributions.glob("*.whl")
    venv.create(tmp_path / "empty", with_pip=True)
    programs = tmp_path / "empty" / "bin"
    run(programs / "pip", "install", "--quiet", wheel, where=tmp_path)
    assert "Usage: tomostat" in run(programs / "tomostat", "--help", where=tmp_path)
    run(programs / "tomostat", "simulate", "demo", "--fields", "1", "--shape", "32", "96", "96", where=tmp_path)
    said = run(programs / "tomostat", "run", "demo/study.yaml", "--workers", "1", where=tmp_path)
    assert "detachment" in said
    assert (tmp_path / "demo" / "results" / "report" / "index.html").exists()
