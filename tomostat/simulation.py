"""Whole studies of simulated volumes, with known truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tomostat.options import MeasureOptions, PhantomOptions, PhasesOptions, StageOptions
from tomostat.phantom import simulate_volume
from tomostat.pipeline import named
from tomostat.runner import Progress
from tomostat.study import Field, Sample, Study, save_study

if TYPE_CHECKING:
    from distributed import Client


def simulate_study(
    folder: str | Path,
    conditions: Mapping[str, float],
    *,
    fields: int = 4,
    options: PhantomOptions | None = None,
    client: Client | None = None,
    progress: Progress | None = None,
) -> Path:
    """Simulate the volumes of a study with known truth.

    Parameters
    ----------
    folder
        Where ``volumes/NAME.zarr`` and ``study.yaml`` are written; empty, or not there yet.
    conditions
        Mean detachment of the particles by condition.
    fields
        Fields of view per condition; each is an electrode of its own seed.
    options
        The electrode; seed and mean detachment vary.

    Returns
    -------
    Path
        The study file, for `run`.

    Raises
    ------
    ValueError
        When the folder is not empty, or there are no fields or conditions.
    """
    folder, options = Path(folder), options or PhantomOptions()
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
            simulate_volume(path, electrode, client=client, progress=named(path.stem, progress))
            members.append(Field(path=path))
        samples.append(Sample(name=f"cell-{condition}", condition=condition, fields=tuple(members)))
    known: dict[str, StageOptions] = {
        "phases": PhasesOptions(collector=options.collector > 0),
        "measure": MeasureOptions(depth_axis="zyx"[options.depth_axis]),  # type: ignore[arg-type]
    }
    study = Study(study=folder.resolve().name, output=folder / "results", samples=tuple(samples), options=known)
    save_study(study, folder / "study.yaml")
    return folder / "study.yaml"
