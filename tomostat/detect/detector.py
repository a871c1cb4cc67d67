"""What a detector is, and how one is found by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tomostat.detect.options import DetectOptions
from tomostat.instances import Instances
from tomostat.plugins import Plugin, Registry


@runtime_checkable
class Detector(Protocol):
    """Finds particles in a block of slices. It travels to the workers with every task, so it should be small.

    Attributes
    ----------
    halo
        Neighbouring slices on either side that it wants to see; what it finds in them is ignored.
    fingerprint
        What its results depend on besides the options, such as a hash of its weights.
    """

    halo: int = 0
    fingerprint: str = ""

    def __call__(self, grey: NDArray[np.float32], phases: NDArray[np.uint8], first: int) -> Instances:
        """Find particles.

        Parameters
        ----------
        grey
            (n, ny, nx) float32, scaled so that percentiles 0.5 and 99.5 of the volume are 0 and 1.
        phases
            (n, ny, nx) uint8, codes of `tomostat.phase.Phase`.
        first
            Index of the first slice in the volume.

        Returns
        -------
        Instances
            What was found, in slices ``first`` to ``first + n - 1``.
        """
        ...

    def memory(self, shape: tuple[int, int]) -> int:
        """Bytes that it takes beside slices of `shape` (ny, nx)."""
        return 0


MakeDetector = Callable[[DetectOptions], Detector]
"""A detector is offered as a function that makes it from the options, and refuses those that cannot work."""

DETECTORS: Registry[MakeDetector] = Registry(
    "detector", "tomostat.detectors", callable, "a function that makes a detector from DetectOptions",
    package="tomostat.detect.detectors", attribute="make",
)  # fmt: skip
"""Detectors, tomostat's own and those of installed packages."""


@dataclass(frozen=True)
class PluginDetector(Detector):
    """A detector of another package: its errors name it and the slices."""

    plugin: Plugin[Detector]
    halo: int
    fingerprint: str

    def __call__(self, grey: NDArray[np.float32], phases: NDArray[np.uint8], first: int) -> Instances:
        """See `Detector.__call__`."""
        with self.plugin.blame(f"slices {first} to {first + len(grey) - 1}"):
            found = self.plugin.value(grey, phases, first)
            if not isinstance(found, Instances):
                raise TypeError(f"it gave a {type(found).__name__}; expected tomostat.Instances")
        return found

    def memory(self, shape: tuple[int, int]) -> int:
        """See `Detector.memory`."""
        return self.plugin.value.memory(shape)


def make_detector(options: DetectOptions) -> Detector:
    """The detector that the options name.

    Raises
    ------
    ValueError, FileNotFoundError
        When there is no such detector, or it refuses the options: found here, before any work.
    """
    plugin = DETECTORS.get(options.detector)
    if plugin.name in DETECTORS.built_in():
        return plugin.value(options)
    with plugin.blame("its options"):
        detector = plugin.value(options)
    if not isinstance(detector, Detector):
        raise ValueError(
            f"detector {plugin.name!r} makes a {type(detector).__name__}; expected something callable with halo, "
            "fingerprint and memory, see tomostat.detect.Detector"
        )
    return PluginDetector(Plugin(plugin.name, plugin.version, detector), detector.halo, detector.fingerprint)
