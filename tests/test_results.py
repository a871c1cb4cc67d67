"""Results as a whole: they may be given away, and the content of all files that they were made from counts."""

from __future__ import annotations

from tomostat.execution import Execution
from tomostat.measure.options import MeasureOptions
from tomostat.stage import FieldWork, stage_named


def test_results_hold_no_absolute_path(results):
    """Where the study lies is in its own file only."""
    place = str(results.root.parent).encode()
    files = [path for path in results.root.rglob("*") if path.is_file() and path.name != "study.yaml"]
    assert [path.relative_to(results.root).as_posix() for path in files if place in path.read_bytes()] == []


def test_the_content_of_a_density_curve_counts(results, study, tmp_path):
    curve, keys = tmp_path / "ocv.csv", []
    for text in ("0,1.0\n1,2.0\n", "0,1.0\n1,2.5\n"):
        curve.write_text(text)
        changed = study.with_options(measure=MeasureOptions(curve=str(curve)))
        keys.append(stage_named("measure").depends(FieldWork(changed, results, Execution(), study.fields[0])))
    assert keys[0] != keys[1]
