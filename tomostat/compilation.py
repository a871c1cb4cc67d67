"""Compilation of the numerical kernels before they are needed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tomostat.execution import Execution
from tomostat.phantom.options import PhantomOptions
from tomostat.pipeline import run
from tomostat.simulation import simulate_study
from tomostat.study import load_study

SHAPE = (80, 96, 96)
"""Voxels of the volumes that are run: more than one block, with whole and cut particles."""
CONDITIONS = {"low": 0.2, "high": 0.4}
"""Conditions of the study, two of them, so that those are compared as well."""


def compile_kernels(execution: Execution | None = None) -> None:
    """Compile the kernels by running all stages on a small simulated study, which is thrown away.

    numba compiles a function when it is first called, and keeps it in its cache. Where many workers start at once with
    an empty cache, each of them compiles all kernels.

    Parameters
    ----------
    execution
        Where tasks run, and who listens; threads of this process when None.
    """
    execution = execution or Execution()
    with tempfile.TemporaryDirectory() as folder:
        made = simulate_study(
            Path(folder) / "study", CONDITIONS, fields=1, options=PhantomOptions(shape=SHAPE), execution=execution
        )
        run(load_study(made), execution=execution)
