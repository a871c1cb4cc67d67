"""Studies of simulated volumes with known truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from tomostat.execution import Execution
from tomostat.measure.options import MeasureOptions
from tomostat.options import StageOptions
from tomostat.phantom import simulate_volume
from tomostat.phantom.options import PhantomOptions
from tomostat.phases.options import PhasesOptions
from tomostat.study import Field, Sample, Study, save_study


def simulate_study(
    folder: str | Path,
    conditions: Mapping[str, float],
    *,
    fields: int = 4,
    options: PhantomOptions | None = None,
    execution: Execution | None = None,
) -> Path:
    """Simulate the volumes of a study with known truth.

    Parameters
    ----------
    folder
        Folder for ``volumes/NAME.zarr`` and ``study.yaml``; must be empty or not exist.
    conditions
        Mean detachment of the particles by condition.
    fields
        Fields of view per condition; each is another electrode, with a seed of its own.
    options
        Options of all electrodes; the seed and the mean detachment differ between them.
    execution
        Where to run, and who receives events; threads of this process when None.

    Returns
    -------
    Path
        The study file, for `run`.

    Raises
    ------
    ValueError
        When the folder is not empty, or there is no field or condition.
    """
    folder, options, execution = Path(folder), options or PhantomOptions(), execution or Execution()
    if fields < 1 or not conditions:
        raise ValueError(f"fields is {fields}, conditions {dict(conditions)}; expected at least one of each")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not an empty folder; choose another")
    samples = []
    for number, (condition, mean) in enumerate(conditions.items()):
        members = []
        for index in range(fields):
            path = folder / "volumes" / f"{condition}-{index + 1}.zarr"
            seed = options.seed + number * fields + index
            electrode = dataclasses.replace(options, seed=seed, detachment_mean=mean)
            simulate_volume(path, electrode, execution=dataclasses.replace(execution, field=path.stem))
            members.append(Field(path=path))
        samples.append(Sample(name=f"cell-{condition}", condition=condition, fields=tuple(members)))
    stage_options: dict[str, StageOptions] = {
        "phases": PhasesOptions(collector=options.collector > 0),
        "measure": MeasureOptions(depth_axis="zyx"[options.depth_axis]),  # type: ignore[arg-type]
    }
    study = Study(study=folder.resolve().name, output=folder / "results", samples=tuple(samples), options=stage_options)
    save_study(study, folder / "study.yaml")
    return folder / "study.yaml"
