"""What a study will take: what earlier runs took, scaled to its volumes."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from studies import SMALL, WATERSHED, at, first_field
from tomostat import cli, pipeline
from tomostat.cluster import capacities_of
from tomostat.costs import Costs, Size, StageCost, TaskCost, read_costs
from tomostat.events import TaskEnded
from tomostat.layout import Layout
from tomostat.phases.options import PhasesOptions
from tomostat.plan import plan_study, plan_table
from tomostat.report.options import ReportOptions
from tomostat.runlog import read_run_log
from tomostat.workers import Capacity

LAPTOP = {"CPU": Capacity(slots=2, memory=2**33)}


@pytest.fixture
def pilot(study, tmp_path) -> Layout:
    """Output folder of a run of the study's first field."""
    return pipeline.run(first_field(study, tmp_path / "pilot"), stages=["ingest", "phases"])


ONE = Size.of(SMALL.shape)
"""Size of one of the study's two fields."""


def detect_cost(**about: object) -> Costs:
    """What detection of the whole study took: an hour on two workers."""
    known = {"scopes": 2, "size": ONE + ONE, "tasks": 40, "blocks": 20, "workers": 2, "peak_memory": 2**30}
    cost = StageCost(**{**known, "seconds": 3600, "cpu_seconds": 3000, "working": 1800, **about})
    return Costs({"detect": cost}, disk=2, size=ONE + ONE, largest=ONE.voxels)


def test_the_plan_of_a_study_that_was_run_is_what_it_took(study, tmp_path):
    layout = pipeline.run(at(study, tmp_path / "out"), stages=["ingest", "phases"])
    lines = list(read_run_log(layout.run_log))
    took = [line.event.cost for line in lines if isinstance(line.event, TaskEnded)]
    plan = plan_study(study, read_costs([layout.root]), LAPTOP)
    assert [stage.stage for stage in plan.stages] == ["ingest", "phases"]
    assert sum(stage.tasks for stage in plan.stages) == len(took)
    for name in ("bytes_read", "bytes_written"):
        assert sum(getattr(stage, name) for stage in plan.stages) == sum(getattr(cost, name) for cost in took)
    assert 3600 * plan.hours("CPU") == pytest.approx(sum(cost.cpu_seconds for cost in took))
    assert plan.wall_seconds == pytest.approx(lines[-1].time - lines[0].time, rel=0.25)
    assert plan.disk == sum(path.lstat().st_size for path in layout.root.rglob("*"))
    assert not plan.notes


def test_a_report_does_not_grow_with_the_study(study):
    costs = Costs({}, disk=10, size=ONE, report=7)
    assert plan_study(study, costs, LAPTOP).disk == 7 + 2 * 10


def test_one_field_tells_what_two_take(study, pilot):
    costs = read_costs([pilot.root])
    one, two = (plan_study(which, costs, LAPTOP) for which in (first_field(study, pilot.root), study))
    for half, whole in zip(one.stages, two.stages, strict=True):
        assert (whole.blocks, whole.tasks) == (2 * half.blocks, 2 * half.tasks)
        assert whole.hours == pytest.approx(2 * half.hours)
        idle = costs.stages[whole.stage].idle  # while the head works on one field, workers work on the other
        assert whole.wall_seconds == pytest.approx(2 * (half.wall_seconds - idle) + idle)
        assert whole.peak_memory == half.peak_memory


def test_more_workers_take_less_time_as_long_as_there_are_tasks_for_them(study):
    costs = detect_cost(idle=60)
    few, more, many = (
        plan_study(study, costs, {"CPU": Capacity(slots=slots, memory=2**33)}).wall_seconds for slots in (2, 20, 1000)
    )
    assert (few, more, many) == (1860, 240, 60 + 3600 / 40)


def test_large_volumes_have_fewer_tasks_for_their_size():
    usual, large = Size.of((1024, 1024, 1024)), Size.of((2048, 2048, 2048))
    assert (usual.shards, usual.blocks) == (256, 256)
    assert (large.shards, large.blocks) == (2048, 512)


def test_shards_beyond_the_end_of_a_larger_volume_take_no_more(study, monkeypatch):
    """192 x 320 x 320 voxels are three times those of 96 x 256 x 256, and lie in six times as many shards."""
    monkeypatch.setattr("tomostat.plan.field_shape", lambda field, options: (192, 320, 320))
    one = dataclasses.replace(study, samples=(dataclasses.replace(study.samples[0], fields=study.fields[:1]),))
    costs = detect_cost(size=Size.of((96, 256, 256)), scopes=1, cpu_seconds=3600)
    plan = plan_study(one, dataclasses.replace(costs, size=Size.of((96, 256, 256))), LAPTOP)
    assert plan.hours("CPU") == pytest.approx(3.125)


def test_pictures_of_the_report_are_limited(study):
    """A pilot of which every particle was pictured tells about a study of many more."""
    took = StageCost(scopes=1, size=ONE, tasks=2000, blocks=2000, workers=2, seconds=2000, cpu_seconds=2000)
    costs = Costs({"report": took}, disk=2, size=ONE, largest=ONE.voxels)
    for particles, fields, expected in ((100, 0, 100), (100, 2, 228), (3000, 8, 3512), (5000, 8, 4000)):
        limited = study.with_options(report=ReportOptions(pictured_particles=particles, pictured_fields=fields))
        (plan,) = plan_study(limited, costs, LAPTOP).stages
        assert (plan.tasks, plan.hours) == (expected, pytest.approx(expected / 3600))


def test_two_pilots_tell_as_much_as_one(study, pilot, tmp_path):
    copied = shutil.copytree(pilot.root, tmp_path / "again")
    once, twice = (plan_study(study, read_costs(folders), LAPTOP) for folders in ([pilot.root], [pilot.root, copied]))
    assert twice.wall_seconds == pytest.approx(once.wall_seconds)
    assert twice.hours("CPU") == pytest.approx(once.hours("CPU"))


def test_figures_of_the_report_are_as_many_in_any_study(study):
    figures = TaskCost(tasks=20, seconds=40, cpu_seconds=40)
    took = StageCost(
        scopes=1,
        size=ONE,
        tasks=30,
        blocks=30,
        workers=2,
        seconds=50,
        cpu_seconds=50,
        fixed=figures,
        idle=3,
        working=25,
    )
    (plan,) = plan_study(study, Costs({"report": took}, disk=2, size=ONE, largest=ONE.voxels), LAPTOP).stages
    assert (plan.tasks, plan.wall_seconds) == (40, 33)
    assert 3600 * plan.hours == pytest.approx(60)


def test_tasks_on_a_gpu_count_as_hours_of_gpus(study):
    plan = plan_study(study, detect_cost(resource="GPU"), {**LAPTOP, "GPU": Capacity(slots=1, memory=2**35)})
    assert (plan.hours("GPU"), plan.hours("CPU"), plan.wall_seconds) == (1, 0, 3600)
    assert "0 CPU hours, 1 GPU hours, 1:00:00, 1.00 GiB for each worker" in plan_table(plan)


def test_other_workers_are_noted(study):
    with_gpu = {**LAPTOP, "GPU": Capacity(slots=1, memory=2**35)}
    assert plan_study(study, detect_cost(), with_gpu).notes == [
        "detect took that on a CPU, and will run on workers with a GPU: it will take less"
    ]
    assert plan_study(study, detect_cost(resource="GPU"), LAPTOP).notes == [
        "detect took that on workers with a GPU, which are not there: it will take longer"
    ]


def test_local_workers_that_share_a_gpu(monkeypatch):
    monkeypatch.setattr("tomostat.cluster.connect.gpus_here", lambda: ["0"])
    places = capacities_of("local", 6)
    assert {name: place.slots for name, place in places.items()} == {"CPU": 6, "GPU": 2}


def test_other_options_and_larger_fields_are_noted(study, pilot):
    other = study.with_options(detect=WATERSHED, phases=PhasesOptions(smoothing=1.0))
    plan = plan_study(other, read_costs([pilot.root]), LAPTOP)
    assert plan.notes == ["phases took that with other options: smoothing was 0.7, is 1.0"]
    small = detect_cost()
    plan = plan_study(study, dataclasses.replace(small, largest=1000), LAPTOP)
    assert "memory is that of smaller fields, and may be more" in plan_table(plan)


def test_workers_that_are_too_small_are_refused_before_any_is_there(study, simulated, pilot, tmp_path, capsys):
    (tmp_path / "cluster.yaml").write_text("jobqueue: {slurm: {cores: 4, memory: 200 MiB, walltime: '01:00:00'}}")
    tokens = ["plan", str(simulated), "--like", str(pilot.root)]
    assert cli.main(tokens) == 0
    assert "CPU hours" in capsys.readouterr().out
    assert cli.main([*tokens, "--cluster", str(tmp_path / "cluster.yaml")]) == 2
    assert "GiB but a worker has 0.05 GiB" in capsys.readouterr().err


def test_a_plan_without_an_earlier_run_says_what_to_do(simulated, tmp_path, capsys):
    assert cli.main(["plan", str(simulated), "--like", str(tmp_path)]) == 2
    assert "name its output folder with --like" in capsys.readouterr().err


def test_a_scheduler_that_runs_is_no_place_to_plan_for(simulated, pilot, capsys):
    assert cli.main(["plan", str(simulated), "--like", str(pilot.root), "--cluster", "tcp://host:8786"]) == 2
    assert "expected local or a cluster file" in capsys.readouterr().err
