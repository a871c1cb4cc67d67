"""Kernels are compiled by one command, and no run compiles them again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CLI = [sys.executable, "-m", "tomostat.cli"]


@pytest.mark.slow
def test_a_run_after_compile_compiles_nothing(tmp_path):
    cache = tmp_path / "cache"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}

    def tomostat(*words: str) -> set[Path]:
        subprocess.run([*CLI, *words], env=environment, cwd=tmp_path, check=True, capture_output=True)
        return set(cache.rglob("*.nbc"))

    compiled = tomostat("compile")
    assert len(compiled) > 100
    tomostat("simulate", "study", "--shape", "96", "128", "128", "--fields", "1", "--workers", "2")
    assert tomostat("run", "study/study.yaml", "--workers", "2") == compiled
