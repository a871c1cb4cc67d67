"""Studies that commands work on, and how stages of them are run."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomostat.cli.app import Given, Place
from tomostat.cli.session import session

if TYPE_CHECKING:
    from tomostat.layout import Layout
    from tomostat.options import StageOptions
    from tomostat.study import Study


def study_of(
    source: Path | None,
    spacing: Any,
    out: Path | None,
    name: str | None,
    given: Given | None,
    options: Mapping[str, StageOptions | None],
) -> Study:
    """The study that a study file, a single volume, or labels and phases alone stand for, with options by flags."""
    from tomostat.options import refuse_objects
    from tomostat.study import load_study, study_of_volume

    images = {} if given is None else {key: value for key, value in vars(given).items() if value is not None}
    if source is None and not images:
        raise ValueError("name a study file or a volume, or give --labels or --phases-image")
    if source is not None and source.suffix.lower() in (".yaml", ".yml"):
        for flag, value in {"spacing": spacing, "name": name, **images}.items():
            if value is not None:
                raise ValueError(f"--{flag.replace('_', '-')} goes with a volume; for a study write it into {source}")
        study = load_study(source, record=True)
        for stage, of_file in study.options.items():
            by_flags = options.get(stage)
            refuse_objects(of_file, stage, () if by_flags is None else by_flags.given)
        study = study.with_options(**options)
        return study if out is None else dataclasses.replace(study, output=out)
    if out is None:
        raise ValueError("--out is missing: name the output folder")
    if "phase_codes" in images:
        images["phase_codes"] = _phase_codes(images["phase_codes"])
    return study_of_volume(source, out, spacing=spacing, name=name, **images).with_options(**options)


def _phase_codes(pairs: Sequence[str]) -> dict[int, str]:
    """Phases by value, from VALUE=PHASE."""
    found = {}
    for pair in pairs:
        value, equals, phase = pair.partition("=")
        if not equals or not value.strip().isdigit():
            raise ValueError(f"--phase-codes has {pair!r}; expected VALUE=PHASE such as 0=pore")
        found[int(value)] = phase.strip()
    return found


def study_in(out: Path) -> Study:
    """The study whose results a folder holds, wherever the folder was moved to."""
    from tomostat.layout import Layout
    from tomostat.manifest import Content
    from tomostat.study import load_study

    Content.read(out)
    return dataclasses.replace(load_study(Layout(out).study, record=True), output=out)


def chosen_field(study: Study, name: str | None) -> str:
    """The field that a flag names; the only one when it names none."""
    names = [field.name for field in study.fields]
    if name is None and len(names) > 1:
        raise ValueError(f"--field is missing: name one of {', '.join(names)}")
    return names[0] if name is None else name


def run_stage(study: Study, stage: str, options: StageOptions | None, place: Place | None, again: bool = False) -> None:
    """Run one stage, and say where its results are."""
    from tomostat.options import plugin_objects

    for name, value in plugin_objects(study.options[stage]).items():
        if options is None or name not in options.given:
            flag = f"--{name} {' '.join(value)}"
            raise ValueError(f"{stage} was run with {name} {', '.join(value)}; give {flag} again, to import that anew")
    layout = run_stages(study.with_options(**{stage: options}), [stage], place, [stage] if again else [])
    print(f"{stage} is finished in {layout.root}")


def run_stages(study: Study, stages: Sequence[str] | None, place: Place | None, again: Sequence[str] = ()) -> Layout:
    """Check first, then start a cluster and run; all stages when none are named."""
    from tomostat import pipeline

    pipeline.check_inputs(study, stages)
    with session(place, here=_is_small(study, stages)) as execution:
        return pipeline.run_checked(study, stages, execution, again)


def _is_small(study: Study, stages: Sequence[str] | None) -> bool:
    """Whether the tasks of all stages take less time than workers take to start."""
    from tomostat.ingest import field_shape
    from tomostat.ingest.stage import INGEST
    from tomostat.stage import all_stages

    limit = min(stage.small for stage in all_stages() if stages is None or stage.name in stages)
    options = INGEST.options_of(study)
    return limit > 0 and sum(math.prod(field_shape(field, options)) for field in study.fields) <= limit
