"""Running tasks: markers, resuming, how many run at once, failures, events, stopping, clusters that come and go."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster, Scheduler, SpecCluster, Worker, get_worker

from tomostat.events import StepStarted, TaskEnded
from tomostat.execution import Execution, Stopped, TasksFailed
from tomostat.markers import read_markers
from tomostat.runners import PER_WORKER


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
                      memory_limit="600MiB") as cluster, Client(cluster) as found:  # fmt: skip
        yield found


@pytest.fixture(params=["here", "cluster"])
def where(request):
    return None if request.param == "here" else request.getfixturevalue("client")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "runs"
    path.mkdir()
    return path


@pytest.fixture
def execution(where, tmp_path) -> Execution:
    return Execution(client=where, markers=tmp_path / "markers")


def test_values_in_order_and_markers(execution, folder, tmp_path):
    values = execution.run("work", tasks_of(note, folder, 7))
    assert list(values.items()) == [(f"t{i}", f"T{i}") for i in range(7)]
    assert dict(read_markers(tmp_path / "markers" / "work.jsonl")) == values


def test_events_say_what_where_and_what_it_took(where, folder):
    seen: list[StepStarted] = []
    execution = Execution(client=where, listener=seen.append, stage="phases", field="a")
    execution.run("histogram", {f"t{i}": dask.delayed(allocate, pure=False)(folder / f"t{i}") for i in range(3)})
    start, *ended = seen
    assert start == StepStarted(stage="phases", step="histogram", field="a", done=0, total=3)
    assert all(isinstance(event, TaskEnded) for event in ended)
    assert [event.done for event in ended] == [1, 2, 3]
    assert {event.task for event in ended} == {"t0", "t1", "t2"}
    for event in ended:
        assert event.cost.seconds >= 0.05
        assert event.cost.bytes_written >= 2**20
        assert event.cost.peak_memory > 64 * 2**20


def allocate(path: Path) -> None:
    """Take 64 MiB and 50 ms, and write 1 MiB."""
    block = bytearray(64 * 2**20)
    time.sleep(0.05)
    path.write_bytes(block[: 2**20])


def test_resuming_runs_only_what_is_missing(execution, folder, tmp_path):
    with pytest.raises(TasksFailed, match=r"work: 1 of 8 tasks failed, the others are done; t3 failed 3 times, last.*"
                       "RuntimeError: disk on fire"):  # fmt: skip
        execution.run("work", tasks_of(fail_on_t3, folder, 8))
    first = runs(folder)
    assert set(first) == {f"t{i}" for i in range(8)} - {"t3"}, "the others go on"
    assert dict(read_markers(execution.marker_file("work"))).keys() == first.keys(), "whatever ran is marked"
    (tmp_path / "mended").touch()
    values = execution.run("work", tasks_of(fail_on_t3, folder, 8))
    assert list(values) == [f"t{i}" for i in range(8)]
    assert runs(folder) == {f"t{i}": 1 for i in range(8)}


def test_nothing_runs_when_all_is_marked(execution, folder):
    for _ in range(2):
        execution.run("work", tasks_of(note, folder, 3))
    assert set(runs(folder).values()) == {1}


def test_no_tasks(execution):
    assert execution.run("nothing", {}) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "3",
        "{}",
        '{"task": "t1", "value": null}',
        '{"task": "t1", "value": 3, "checksum": 3}',
        '{"task": "t1", "value": [], "checksum": []}',
        "\xff",
    ],
)
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_damaged_marker_is_run_again(folder, tmp_path, caplog, text, end):
    execution, file = Execution(markers=tmp_path / "m"), tmp_path / "m" / "work.jsonl"
    with dask.config.set(num_workers=1):  # marks tasks in their order
        execution.run("work", tasks_of(note, folder, 2))
    file.write_text(file.read_text().splitlines()[0] + "\n" + text + end, encoding="latin-1")
    for _ in range(2):
        values = execution.run("work", tasks_of(note, folder, 2))
        assert values == {"t0": "T0", "t1": "T1"}
        assert runs(folder) == {"t0": 1, "t1": 2}
    assert ("line 2 of" in caplog.text) == bool(text + end)


def test_half_a_marker_is_run_again_and_spoils_no_other(folder, tmp_path, caplog):
    """The line that a process was killed in is followed by whole ones."""
    execution, file = Execution(markers=tmp_path / "m"), tmp_path / "m" / "work.jsonl"
    execution.run("work", tasks_of(note, folder, 5))
    file.write_bytes(file.read_bytes()[:-9])
    for _ in range(2):
        execution.run("work", tasks_of(note, folder, 5))
        assert sorted(runs(folder).values()) == [1, 1, 1, 1, 2]
    assert "is damaged" in caplog.text


def test_markers_of_other_tasks_are_ignored(folder, tmp_path):
    execution = Execution(markers=tmp_path / "m")
    execution.run("work", tasks_of(note, folder, 4))
    assert list(execution.run("work", tasks_of(note, folder, 2))) == ["t0", "t1"]


def refuse(folder: Path, key: str) -> None:
    note(folder, key)
    raise ValueError(f"{key} cannot be read; export it again")


def fail(folder: Path, key: str) -> None:
    note(folder, key)
    raise OSError("the network drive went away")


def test_an_error_that_the_user_can_mend_is_not_tried_again(execution, folder):
    with pytest.raises(ValueError, match="t0 cannot be read; export it again"):
        execution.run("work", tasks_of(refuse, folder, 1))
    assert runs(folder) == {"t0": 1}


def test_the_error_of_a_worker_brings_its_traceback_as_a_note(client, folder):
    with pytest.raises(ValueError, match="export it again") as caught:
        Execution(client=client).run("work", tasks_of(refuse, folder, 1))
    assert "in refuse" in "".join(caught.value.__notes__)


def test_other_errors_are_tried_again(execution, folder):
    with pytest.raises(TasksFailed, match="OSError: the network drive went away") as caught:
        execution.run("work", tasks_of(fail, folder, 1), retries=2)
    assert isinstance(caught.value.__cause__, OSError)
    assert runs(folder) == {"t0": 3}


def fail_on_first_worker(folder: Path, key: str) -> str:
    """Fail on the worker that comes first."""
    with contextlib.suppress(FileExistsError), (folder / "full").open("x") as file:
        file.write(get_worker().address)
    if (folder / "full").read_text() == get_worker().address:
        raise OSError("no space left on device")
    return get_worker().address


def test_a_task_is_tried_again_on_another_worker(client, folder):
    values = Execution(client=client).run("work", tasks_of(fail_on_first_worker, folder, 6))
    assert set(values.values()) == set(client.nthreads()) - {(folder / "full").read_text()}


class Unpicklable(Exception):
    def __init__(self, a: str, b: str) -> None:
        super().__init__(a)


def fail_oddly(folder: Path, key: str) -> None:
    raise Unpicklable("odd", "error")


def test_an_error_that_cannot_travel(client, folder):
    with pytest.raises(TasksFailed, match="RuntimeError: Unpicklable: odd"):
        Execution(client=client).run("work", tasks_of(fail_oddly, folder, 1), retries=0)


def test_an_asynchronous_client_is_refused():
    async def give() -> None:
        async with Client(processes=False, n_workers=0, dashboard_address=None, asynchronous=True) as own:
            Execution(client=own)

    with pytest.raises(TypeError, match="client is asynchronous"):
        asyncio.run(give())


@pytest.mark.slow
def test_workers_do_not_log_errors_that_the_user_can_mend(folder):
    """In a process of its own: what workers say goes to its standard error."""
    code = (
        "import sys, dask; from pathlib import Path; from distributed import Client, LocalCluster\n"
        "from tomostat.execution import Execution\n"
        "def refuse(): raise ValueError('no')\n"
        "if __name__ == '__main__':\n"
        "    with LocalCluster(n_workers=1, dashboard_address=None) as cluster, Client(cluster) as client:\n"
        "        try: Execution(client=client).run('work', {'a': dask.delayed(refuse, pure=False)()})\n"
        "        except ValueError: print('refused')\n"
    )
    script = folder / "script.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "refused"
    assert "ValueError" not in done.stderr


def test_threads_here_are_bounded():
    """Three tasks at a time meet, and a fourth is never there."""
    meeting, lock, now, most = threading.Barrier(3, timeout=60), threading.Lock(), [0], [0]

    def meet():
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        meeting.wait()
        with lock:
            now[0] -= 1

    with dask.config.set(num_workers=3):
        Execution().run("work", {str(i): dask.delayed(meet, pure=False)() for i in range(21)})
    assert most[0] == 3


def test_tasks_in_flight_on_a_cluster_are_bounded(client):
    """Tasks known to the scheduler at any time are few, however many there are in all."""
    most = 0

    def count(_):
        nonlocal most
        most = max(most, len(client.futures))

    tasks = {str(i): dask.delayed(time.sleep, pure=False)(0.005) for i in range(60)}
    Execution(client=client, listener=count).run("work", tasks)
    assert 0 < most <= PER_WORKER * 2 + 1


GATE = threading.Event()
"""Tasks of workers in this process wait here."""


def wait_at_gate(folder: Path, key: str) -> str:
    GATE.wait(60)
    return note(folder, key)


def reaches(count: Callable[[], int], number: int, seconds: float = 30) -> bool:
    """Whether a count comes to a number in time."""
    end = time.monotonic() + seconds
    while count() != number and time.monotonic() < end:
        time.sleep(0.02)
    return count() == number


def test_more_tasks_fly_when_workers_join(folder):
    """No task ends before as many are known to the scheduler as two workers may hold."""
    with (
        LocalCluster(n_workers=0, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as late,
        ThreadPoolExecutor() as pool,
    ):
        GATE.clear()
        running = pool.submit(Execution(client=late).run, "work", tasks_of(wait_at_gate, folder, 9))
        try:
            assert reaches(lambda: len(late.futures), PER_WORKER), "those of one worker that is yet to come"
            cluster.scale(2)
            assert reaches(lambda: len(late.futures), 2 * PER_WORKER)
        finally:
            GATE.set()
        assert len(running.result(60)) == 9
    assert runs(folder) == {f"t{i}": 1 for i in range(9)}


def test_stopping_ends_a_run_that_waits_for_workers_that_never_come():
    with LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster, Client(cluster) as client:
        execution = Execution(client=client)
        timer = threading.Timer(0.3, execution.stop)
        timer.start()
        start = time.monotonic()
        with pytest.raises(Stopped):
            execution.for_field("a", Path("none")).run("work", {"a": dask.delayed(time.sleep, pure=False)(0)})
        assert time.monotonic() - start < 5
        timer.join()


def test_stopping_lets_no_further_task_begin(folder, tmp_path):
    execution = Execution(markers=tmp_path / "m")

    def stop(event: StepStarted) -> None:
        if isinstance(event, TaskEnded):
            execution.stop()

    with dask.config.set(num_workers=1), pytest.raises(Stopped):
        dataclasses.replace(execution, listener=stop).run("work", tasks_of(note, folder, 50))
    assert len(runs(folder)) < 5
    assert dict(read_markers(tmp_path / "m" / "work.jsonl")).keys() == runs(folder).keys(), "what has ended is marked"


def die_once(folder: Path, key: str) -> int:
    if key == "t2" and not (folder / key).exists():
        note(folder, key)
        os._exit(1)
    note(folder, key)
    return os.getpid()


@pytest.mark.slow
def test_a_killed_worker_costs_nothing(folder, tmp_path):
    """The worker that runs one task dies without a word: all tasks end all the same, and are marked."""
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0",
                      memory_limit=0, silence_logs=50) as cluster, Client(cluster) as own:  # fmt: skip
        Execution(client=own, markers=tmp_path / "m").run("work", tasks_of(die_once, folder, 6))
    assert len(dict(read_markers(tmp_path / "m" / "work.jsonl"))) == 6
    assert runs(folder)["t2"] == 2


def name_of_worker(folder: Path, key: str) -> str:
    note(folder, key)
    return get_worker().name


def test_resources_choose_the_worker(folder):
    """Of two workers one has what the tasks need; what none has is refused."""
    workers = {
        name: {"cls": Worker, "options": {"nthreads": 1, "resources": resources, "dashboard": False}}
        for name, resources in (("plain", {}), ("equipped", {"GPU": 1}))
    }
    scheduler = {"cls": Scheduler, "options": {"dashboard": False}}
    with SpecCluster(workers=workers, scheduler=scheduler) as cluster, Client(cluster) as own:
        found = Execution(client=own).run("work", tasks_of(name_of_worker, folder, 8), resources={"GPU": 1})
        assert set(found.values()) == {"equipped"}
        execution = Execution(client=own)
        assert execution.offers({"GPU": 1})
        assert not execution.offers({"TPU": 1})
        with pytest.raises(ValueError, match=r"work needs workers with the resource TPU and .*--resources TPU=1"):
            execution.run("work", {"x": dask.delayed(note, pure=False)(folder, "x")}, resources={"TPU": 1})
    assert "x" not in runs(folder)


def test_waiting_for_workers_ends_after_a_limit():
    with LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster, Client(cluster) as client:
        execution = Execution(client=client, wait_limit=0.3)
        with pytest.raises(ValueError, match=r"no worker came within 0\.005 minutes: the scheduler has none"):
            execution.run("work", {"a": dask.delayed(time.sleep, pure=False)(0)})


def test_memory_per_task(client):
    with dask.config.set(num_workers=1):
        whole = Execution().memory_per_task()
    with dask.config.set(num_workers=4):
        assert Execution().memory_per_task() == whole // 4
    assert Execution(client=client).memory_per_task() == 600 * 2**20


def test_a_task_that_needs_more_than_a_worker_has_is_refused_before_it_runs(client, folder):
    with pytest.raises(ValueError, match=r"work: one block needs about 1\.00 GiB but a worker has 0\.59 GiB"):
        Execution(client=client).run("work", tasks_of(note, folder, 1), need=2**30)
    assert not runs(folder)
