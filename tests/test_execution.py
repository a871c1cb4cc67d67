"""The runner: markers, resume, bounded flight, failures, clusters that come and go."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster
from tomostat.runner import PER_WORKER, execute, memory_per_task

from tomostat.execution import Execution


def note(folder: Path, key: str) -> str:
    """Leave a trace of a run, and return something."""
    with (folder / key).open("a") as file:
        file.write("x")
    return key.upper()


def runs(folder: Path) -> dict[str, int]:
    return {path.name: len(path.read_text()) for path in folder.iterdir()}


def tasks_of(function, folder: Path, count: int) -> dict:
    return {f"t{i}": dask.delayed(function, pure=False)(folder, f"t{i}") for i in range(count)}


def fail_on_t3(folder: Path, key: str) -> str:
    if key == "t3" and not (folder.parent / "mended").exists():
        raise RuntimeError("disk on fire")
    return note(folder, key)


@pytest.fixture(scope="module")
def client():
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0",
                      memory_limit="600MiB", resources={"GPU": 1}) as cluster, Client(cluster) as found:  # fmt: skip
        yield found


@pytest.fixture(params=["here", "cluster"])
def where(request):
    return None if request.param == "here" else request.getfixturevalue("client")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "runs"
    path.mkdir()
    return path


def test_values_in_order_and_markers(where, folder, tmp_path):
    seen = []
    markers = tmp_path / "markers"
    values = execute(tasks_of(note, folder, 7), label="work", markers=markers, client=where,
                     progress=lambda *a: seen.append(a))  # fmt: skip
    assert list(values.items()) == [(f"t{i}", f"T{i}") for i in range(7)]
    assert {p.stem: json.loads(p.read_text()) for p in markers.iterdir()} == values
    assert seen == [("work", i, 7) for i in range(8)]


def test_resume_runs_only_what_is_missing(where, folder, tmp_path):
    markers = tmp_path / "markers"
    with pytest.raises(RuntimeError, match="disk on fire"):
        execute(tasks_of(fail_on_t3, folder, 8), label="work", markers=markers, client=where, retries=0)
    first = runs(folder)
    assert "t3" not in first
    assert {p.stem for p in markers.iterdir()} == set(first), "whatever ran has its marker"
    (tmp_path / "mended").touch()
    values = execute(tasks_of(fail_on_t3, folder, 8), label="work", markers=markers, client=where)
    assert list(values) == [f"t{i}" for i in range(8)]
    assert runs(folder) == {f"t{i}": 1 for i in range(8)}


def test_nothing_runs_when_all_is_marked(where, folder, tmp_path):
    for _ in range(2):
        execute(tasks_of(note, folder, 3), label="work", markers=tmp_path / "m", client=where)
    assert set(runs(folder).values()) == {1}


def test_no_tasks(where):
    assert execute({}, label="nothing", client=where) == {}


def test_damaged_marker_is_run_again(folder, tmp_path, caplog):
    execute(tasks_of(note, folder, 2), label="work", markers=tmp_path / "m")
    (tmp_path / "m" / "t1.json").write_text("")
    execute(tasks_of(note, folder, 2), label="work", markers=tmp_path / "m")
    assert runs(folder) == {"t0": 1, "t1": 2}
    assert "t1.json is damaged" in caplog.text


def test_markers_of_other_tasks_are_ignored(folder, tmp_path):
    execute(tasks_of(note, folder, 4), label="work", markers=tmp_path / "m")
    assert list(execute(tasks_of(note, folder, 2), label="work", markers=tmp_path / "m")) == ["t0", "t1"]


def test_threads_here_are_bounded():
    lock, now, most = threading.Lock(), [0], [0]

    def busy():
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1

    with dask.config.set(num_workers=3):
        execute({str(i): dask.delayed(busy, pure=False)() for i in range(20)}, label="work")
    assert most[0] == 3


def test_flight_on_cluster_is_bounded(client):
    """Tasks known to the scheduler at any time are few, however many there are in all."""
    most = 0

    def count(*_):
        nonlocal most
        most = max(most, len(client.futures))

    execute({str(i): dask.delayed(time.sleep, pure=False)(0.005) for i in range(60)}, label="work", execution=Execution(client=client),
            progress=count)  # fmt: skip
    assert 0 < most <= PER_WORKER * 2 + 1


def test_flight_grows_with_the_cluster(folder):
    with LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster, Client(cluster) as late:
        starter = threading.Timer(0.3, lambda: cluster.scale(2))
        starter.start()
        execute(tasks_of(note, folder, 9), label="work", client=late)
        starter.join()
    assert len(runs(folder)) == 9


def die_once(folder: Path, key: str) -> int:
    if key == "t2" and not (folder / key).exists():
        note(folder, key)
        os._exit(1)
    note(folder, key)
    return os.getpid()


def test_a_killed_worker_costs_nothing(folder, tmp_path):
    """The worker that runs one task dies without a word: all tasks end all the same, and are marked."""
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0",
                      memory_limit=0, silence_logs=50) as cluster, Client(cluster) as own:  # fmt: skip
        execute(tasks_of(die_once, folder, 6), label="work", markers=tmp_path / "m", client=own)
    assert len(list((tmp_path / "m").iterdir())) == 6
    assert runs(folder)["t2"] == 2


def test_resources_choose_the_worker(client):
    values = execute({"a": dask.delayed(os.getpid, pure=False)()}, label="work", execution=Execution(client=client), resources={"GPU": 1})
    assert values["a"] != os.getpid()
    with pytest.raises(TimeoutError):
        client.compute(dask.delayed(os.getpid, pure=False)(), resources={"TPU": 1}).result(timeout=0.3)


def test_memory_per_task(client):
    with dask.config.set(num_workers=1):
        whole = memory_per_task(None)
    with dask.config.set(num_workers=4):
        assert memory_per_task(None) == whole // 4
    assert memory_per_task(client) == 600 * 2**20
