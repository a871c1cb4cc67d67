"""Shared fixtures, and how properties are tried."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings
from numpy.typing import NDArray

from properties import DEEP, examples
from studies import BRIEF, SMALL, UP_TO_ANALYSIS, WATERSHED, at

if TYPE_CHECKING:
    from tomostat.layout import Layout
    from tomostat.study import Study

settings.register_profile("tomostat", examples(30))
settings.load_profile("tomostat")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first process of the tests that needs it makes, and all read."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, done = shared / name, shared / f"{name}.done"
    with FileLock(shared / f"{name}.lock"):
        if not done.exists():
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study file of two small simulated fields."""
    from tomostat.simulation import simulate_study

    def make(folder: Path) -> None:
        simulate_study(folder, {"slow": 0.1, "fast": 0.5}, fields=1, options=SMALL)

    return made_once(tmp_path_factory, "small", make) / "study.yaml"


@pytest.fixture(scope="session")
def study(simulated: Path) -> Study:
    """That study, with the watershed and a brief report."""
    from tomostat.study import load_study

    return load_study(simulated).with_options(detect=WATERSHED, report=BRIEF)


@pytest.fixture(scope="session")
def results(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Its results up to the analysis; tests that change them work on a copy."""
    from tomostat import pipeline
    from tomostat.layout import Layout

    made_once(tmp_path_factory, "small-results", lambda _: pipeline.run(study, stages=UP_TO_ANALYSIS))
    return Layout(study.output)


@pytest.fixture(scope="session")
def reported(results: Layout, study: Study, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Its results with the report."""
    from tomostat import pipeline
    from tomostat.layout import Layout

    def make(folder: Path) -> None:
        shutil.copytree(results.root, folder)
        pipeline.run(at(study, folder))

    return Layout(made_once(tmp_path_factory, "reported", make))


@pytest.fixture(scope="session")
def place() -> Iterator[list[str]]:
    """Flags that send a command to workers that are there already: starting them takes longer than most commands."""
    from tomostat.cluster import open_cluster

    with open_cluster(workers=1) as client:
        yield ["--cluster", client.scheduler.address]


@pytest.fixture
def true_and_found() -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """True objects 1 to 4 and found ones: a hit, a split, a merge of two, and one that is false."""
    truth, found = np.zeros((2, 40, 60), np.int32)
    truth[2:12, 2:12], truth[2:12, 20:40], truth[20:30, 2:12], truth[20:30, 13:23], truth[32:38, 50:58] = 1, 2, 3, 4, 7
    found[3:12, 2:12], found[2:12, 20:30], found[2:12, 30:40] = 5, 6, 7
    found[20:30, 2:23] = 8
    found[20:28, 40:48] = 9
    return truth, found


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of real images beside the checkout; tests that need it skip where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real images are not at {folder}")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave slow tests to `make test-deep`."""
    if not DEEP:
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: `make test-deep` runs it"))


@pytest.fixture(scope="session")
def slurm_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which Slurm's commands find a real Slurm on this machine."""
    import slurm

    if reason := slurm.missing():
        pytest.skip(reason)
    with slurm.running(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment
