"""Stages declare themselves: order, keys, independence; a new one is a package of its own."""

from __future__ import annotations

import grimp
import pytest

from tomostat import pipeline
from tomostat.detect.options import DetectOptions
from tomostat.execution import Execution
from tomostat.phantom import simulate_volume
from tomostat.phantom.options import PhantomOptions
from tomostat.stage import all_stages, before, field_stage, stage_named
from tomostat.study import study_of_volume

ORDER = ["ingest", "phases", "detect", "structure", "stitch", "measure", "table", "analyze", "report"]


def test_stages_come_in_the_order_of_what_they_read_and_write():
    assert [one.name for one in all_stages()] == ORDER
    assert [one.name for one in before(stage_named("measure"))] == ["ingest", "phases", "stitch"]


def test_an_unknown_stage_is_refused():
    with pytest.raises(ValueError, match="there is no stage 'paint'; stages are ingest, phases"):
        stage_named("paint")
    with pytest.raises(ValueError, match="analyze works on all fields together"):
        field_stage("analyze")


def test_stages_do_not_import_each_other():
    """A contract without a list: every package with a module ``stage`` is one."""
    graph = grimp.build_graph("tomostat", exclude_type_checking_imports=True)
    packages = sorted(
        {one.rsplit(".", 1)[0] for one in graph.modules if one.endswith(".stage") and one.count(".") == 2}
    )
    assert len(packages) == 8
    for package in [*packages, "tomostat.phantom"]:
        inside = {package, *graph.find_descendants(package)}
        for module in inside:
            for imported in graph.find_modules_directly_imported_by(module):
                others = [
                    one for one in packages if one != package and (imported == one or imported.startswith(f"{one}."))
                ]
                assert not others, f"{module} imports {imported}"


def test_a_stage_whose_input_is_missing_says_what_to_run(tmp_path):
    volume = simulate_volume(tmp_path / "v.zarr", PhantomOptions(shape=(16, 48, 48)))
    study = study_of_volume(volume, tmp_path / "out").with_options(detect=DetectOptions(detector="watershed"))
    with pytest.raises(ValueError, match=r"ingest of field 'v' is not finished; run `tomostat ingest .*out`"):
        pipeline.run(study, stages=["phases"], execution=Execution())
    with pytest.raises(ValueError, match=r"measure is not finished; run `tomostat measure .*out`"):
        pipeline.run(study, stages=["analyze"])
