"""What a detector is, and the detectors by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tomostat.detect.options import DetectOptions
from tomostat.instances import Instances
from tomostat.plugins import Plugin, Registry

FindParticles = Callable[[NDArray[np.float32], NDArray[np.uint8], int], Instances]
"""Any function with the parameters of `Detector.__call__`."""


@runtime_checkable
class Detector(Protocol):
    """Finds particles in a block of slices. It is sent to the workers with every task, so it should be small.

    One that computes on a GPU where the workers have any says so by an attribute ``device``: ``auto``, or ``cuda``.

    Attributes
    ----------
    halo
        Neighbouring slices on either side that it needs as input; particles found in them are not kept.
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
            Particles of slices ``first`` to ``first + n - 1``.
        """
        ...

    def memory(self, shape: tuple[int, int]) -> int:
        """Bytes of main memory that it needs at once besides its input, for slices of `shape` (ny, nx)."""
        return 0


MakeDetector = Callable[[DetectOptions], Detector]
"""Makes a detector from the options, and refuses options that cannot work."""

DETECTORS: Registry[MakeDetector] = Registry(
    "detector", "tomostat.detectors", callable, "a function that makes a detector from DetectOptions",
    package="tomostat.detect.detectors", attribute="make",
)  # fmt: skip
"""Detectors by name: those of tomostat and those of installed packages."""


@dataclass(frozen=True)
class FunctionDetector(Detector):
    """A detector made of a function.

    Attributes
    ----------
    function
        Has the parameters and the result of `Detector.__call__`.
    halo, fingerprint
        As in `Detector`.
    """

    function: FindParticles
    halo: int = 0
    fingerprint: str = ""

    def __call__(self, grey: NDArray[np.float32], phases: NDArray[np.uint8], first: int) -> Instances:
        """Call the function."""
        return self.function(grey, phases, first)


@dataclass(frozen=True)
class PluginDetector(Detector):
    """A detector of another package: its errors name it and the slices.

    Attributes
    ----------
    plugin
        The detector and its name.
    halo, fingerprint, device
        As in `Detector`.
    """

    plugin: Plugin[Detector]
    halo: int
    fingerprint: str
    device: str = "cpu"

    def __call__(self, grey: NDArray[np.float32], phases: NDArray[np.uint8], first: int) -> Instances:
        """Find particles, see `Detector.__call__`.

        Raises
        ------
        PluginError
            When the detector fails, or returns something other than instances of these slices.
        """
        with self.plugin.blame(f"slices {first} to {first + len(grey) - 1}"):
            found = self.plugin.value(grey, phases, first)
            if not isinstance(found, Instances):
                raise TypeError(f"it returned a {type(found).__name__}; expected tomostat.Instances")
            if found.shape != grey.shape[1:]:
                raise ValueError(f"it returned instances of slices of shape {found.shape}; expected {grey.shape[1:]}")
        return found

    def memory(self, shape: tuple[int, int]) -> int:
        """See `Detector.memory`."""
        with self.plugin.blame("its estimate of memory"):
            return self.plugin.value.memory(shape)


def make_detector(options: DetectOptions) -> Detector:
    """Make the detector that the options name.

    Raises
    ------
    ValueError, FileNotFoundError
        When there is no such detector, or it refuses the options.
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
    return PluginDetector(
        Plugin(plugin.name, plugin.version, detector), detector.halo, detector.fingerprint, device_of(detector)
    )


def device_of(detector: Detector) -> str:
    """Where a detector computes: cpu unless it says otherwise."""
    return str(getattr(detector, "device", "cpu"))


def as_detector(given: Detector | FindParticles) -> Detector:
    """Any callable as a detector; of `halo` and `fingerprint` those that it lacks are 0 and empty.

    Raises
    ------
    TypeError
        When it is not callable.
    """
    if isinstance(given, Detector):
        return given
    if not callable(given):
        raise TypeError(f"detector is {given!r}; expected something callable, see tomostat.detect.Detector")
    return FunctionDetector(given, getattr(given, "halo", 0), getattr(given, "fingerprint", ""))


def detector_name(given: Detector | FindParticles) -> str:
    """Name of a detector for provenance: that of the function, or of the class of an object."""
    return str(getattr(given, "__name__", type(given).__name__))
