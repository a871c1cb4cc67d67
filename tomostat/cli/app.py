"""The application that commands are added to, and what several of them share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from tomostat import __version__

app = App(
    name="tomostat",
    version=__version__,
    result_action="return_value",
    default_parameter=Parameter(consume_multiple=True),  # --phases.thresholds 80 120
    suppress_keyboard_interrupt=False,
    help="Per-particle statistics from X-ray nano-tomography volumes of battery electrodes.\n\n"
    "A newcomer's start: `tomostat run VOLUME --spacing 0.05 --out DIR`, then open DIR/report/index.html.",
)


@Parameter(name="*", group="Where it runs")
@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the work is done.

    Attributes
    ----------
    cluster
        local; a scheduler's address (tcp://host:8786) or scheduler file (.json); or a cluster file (.yaml) with a batch
        system and its jobs, such as those in deploy/.
    workers
        Worker processes on this machine, for a local cluster; one per core when not given.
    wait_limit
        Minutes to wait for a worker while there is none, such as for jobs in a queue; for ever when not given.
    dashboard
        Serve dask's dashboard for workers of this machine; a cluster always has one.
    performance_report
        Page (.html) on which dask reports what its workers did.
    verbose
        Say what is done, and show the whole traceback of an error.
    """

    cluster: str = "local"
    workers: int | None = None
    wait_limit: float | None = None
    dashboard: bool = False
    performance_report: Path | None = None
    verbose: bool = False


Out = Annotated[Path, Parameter(name="OUT", help="Output folder of a study, as `tomostat run` or `ingest` made it.")]
"""The output folder that a command works in."""

FLAT = Parameter(name="*", group="Options")
"""Options of a stage without the stage's name before them."""

Source = Annotated[
    Path | None,
    Parameter(
        help="A study file (.yaml), or a volume in a format that `tomostat info --formats` lists, FILE:DATASET in a "
        "file of several; none where only labels or phases are given."
    ),
]
"""What is read."""


@Parameter(name="*", group="From other programs")
@dataclass(frozen=True, kw_only=True)
class Given:
    """Labels and phases of a single volume that other programs made; a study file names them for each field.

    Attributes
    ----------
    labels
        Particles: an image of whole numbers, 0 for background; detect and stitch are left out. A dataset in a file of
        several is named after a colon, FILE.h5:exported_data.
    phases_image
        Phases: an image of some values, whose meaning --phase-codes tells.
    phase_codes
        Meaning of the values of the image of phases, as VALUE=PHASE: 0=pore 85=active 170=cbd; phases are pore, cbd,
        active, collector and outside.
    """

    labels: Path | None = None
    phases_image: Path | None = None
    phase_codes: Annotated[tuple[str, ...] | None, Parameter(consume_multiple=True, negative="")] = None


Spacing = Annotated[
    tuple[float, ...] | None,
    Parameter(
        consume_multiple=True,
        negative="",
        help="Voxel size in micrometers, one number or three (z y x); needed where the file does not tell.",
    ),
]
"""Voxel size, one number or three."""

NewOut = Annotated[Path | None, Parameter(help="Output folder; the study file's own when not given.")]
"""The output folder that a command makes."""

FieldName = Annotated[
    str | None, Parameter(help="Name of the field, for a single volume; the file's name when not given.")
]
"""Name of a field that a command makes."""

Again = Annotated[
    bool, Parameter(negative="", help="Run it though it is finished; what depends on it is then to be made anew.")
]
"""Whether a stage that is finished is run again."""
