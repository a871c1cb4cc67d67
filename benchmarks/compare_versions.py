"""CPU seconds of every stage beside those of another checkout, in pairs.

    python -m benchmarks.compare_versions OTHER_CHECKOUT [--pairs 7]

Both versions run all stages on one field of the demo, in one thread and in a process of their own, one after the other,
so that other load falls on both. A first run of each compiles the kernels and does not count. Stages that the
other version does not have are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.report import Result, print_results
from tomostat.phantom import simulate_volume
from tomostat.phantom.options import PhantomOptions
from tomostat.stage import all_stages

HERE = Path(__file__).parents[1]
DEMO = PhantomOptions(shape=(104, 256, 256), depth_axis=0, headspace=0.4)
STAGES = [stage.name for stage in all_stages() if stage.part_of is None]

RUN = """
import importlib, json, pkgutil, sys, time
import dask
import tomostat
from tomostat import pipeline
from tomostat.study import study_of_volume

for module in pkgutil.walk_packages(tomostat.__path__, "tomostat."):  # importing is not what is compared
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
study = study_of_volume(sys.argv[1], sys.argv[2])
seconds = {}
with dask.config.set(num_workers=1):
    for stage in sys.argv[3:]:
        start = time.process_time()
        try:
            pipeline.run(study, stages=[stage])
        except ValueError:  # an older version may not have the stage
            continue
        seconds[stage] = time.process_time() - start
print(json.dumps(seconds))
"""


def cpu_seconds(checkout: Path, volume: Path) -> dict[str, float]:
    """CPU seconds of every stage with the code of a checkout."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-c", RUN, str(volume), f"{folder}/out", *STAGES]
        environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print the median ratio of every stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path)
    parser.add_argument("--pairs", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        volume = simulate_volume(Path(folder) / "electrode.zarr", DEMO)
        for checkout in (arguments.other, HERE):
            cpu_seconds(checkout, volume)
        pairs = [(cpu_seconds(arguments.other, volume), cpu_seconds(HERE, volume)) for _ in range(arguments.pairs)]
    if left_out := [stage for stage in STAGES if stage not in pairs[0][0]]:
        print(f"left out, since {arguments.other} does not run it: {', '.join(left_out)}")
    figures = []
    for stage in pairs[0][0]:
        before, after = (statistics.median(pair[i][stage] for pair in pairs) for i in (0, 1))
        ratio = statistics.median(after[stage] / before[stage] for before, after in pairs)
        figures.append(Result(f"{stage}: {before:.2f} s before, {after:.2f} s now, ratio", ratio, 1.03, "<="))
    total = statistics.median(sum(after[name] for name in before) / sum(before.values()) for before, after in pairs)
    print_results("CPU seconds by stage", [*figures, Result("these stages, ratio", total, 1.03, "<=")])


if __name__ == "__main__":
    main()
