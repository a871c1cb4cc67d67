"""Studies of simulated volumes with known truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from tomostat.execution import Execution
from tomostat.measure.options import MeasureOptions
from tomostat.messages import shorten
from tomostat.options import StageOptions
from tomostat.phantom import simulate_volume
from tomostat.phantom.options import PhantomOptions
from tomostat.phases.options import PhasesOptions
from tomostat.study import NAME_RULE, Field, Sample, Study, is_name, save_study


def simulate_study(
    folder: str | Path,
    conditions: Mapping[str, float],
    *,
    samples: int = 1,
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
    samples
        Samples per condition.
    fields
        Fields of view per sample; each is another electrode, with a seed of its own.
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
        When the folder is not empty, or there is no sample, field or condition.
    """
    folder, options, execution = Path(folder), options or PhantomOptions(), execution or Execution()
    if samples < 1 or fields < 1 or not conditions:
        raise ValueError(
            f"samples is {samples}, fields is {fields}, conditions {dict(conditions)}; expected at least one of each"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not an empty folder; choose another")
    names = [condition for condition in conditions if not is_name(condition)]
    if names:
        raise ValueError(f"condition is {shorten(names[0])}; {NAME_RULE}")
    pieces, electrodes = [], []
    for number, (condition, mean) in enumerate(conditions.items()):
        paths = [folder.absolute() / "volumes" / f"{condition}-{index + 1}.zarr" for index in range(samples * fields)]
        for index, path in enumerate(paths):
            seed = options.seed + number * len(paths) + index
            electrodes.append((path, dataclasses.replace(options, seed=seed, detachment_mean=mean)))
        for sample in range(samples):
            name = f"cell-{condition}" if samples == 1 else f"cell-{condition}-{sample + 1}"
            members = tuple(Field(path=path) for path in paths[sample * fields : (sample + 1) * fields])
            pieces.append(Sample(name=name, condition=condition, fields=members))

    def simulate(electrode: tuple[Path, PhantomOptions]) -> None:
        path, options = electrode
        simulate_volume(path, options, execution=dataclasses.replace(execution, field=path.stem))

    execution.run_concurrently(simulate, electrodes)
    stage_options: dict[str, StageOptions] = {
        "phases": PhasesOptions(collector=options.collector > 0),
        "measure": MeasureOptions(depth_axis="zyx"[options.depth_axis]),  # type: ignore[arg-type]
    }
    study = Study(study=folder.resolve().name, output=folder / "results", samples=tuple(pieces), options=stage_options)
    save_study(study, folder / "study.yaml")
    return folder / "study.yaml"
