"""Electron density from the refractive decrement, and state of charge from electron density."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator

from tomostat.kernels.arrays import Doubles
from tomostat.measure.interior.grey import SHELL
from tomostat.measure.measures import TOO_SMALL, Arrays, Measure, of_field

if TYPE_CHECKING:
    from tomostat.measure.field import FieldParticles

Branch = Literal["charged", "discharged"]

ELECTRON_RADIUS = 2.8179e-5
"""Classical electron radius in angstrom."""

ENERGY_TIMES_WAVELENGTH = 12.398420
"""h c in keV angstrom."""

DISPERSION = 1.0075
"""delta of NMC811 at 17 keV over its value from the number of electrons alone: the dispersion correction f' of Ni, Mn
and Co."""


def electron_density(delta: ArrayLike, energy: float) -> Doubles:
    """Electron density of NMC from its refractive decrement.

    Parameters
    ----------
    delta
        Refractive decrement, dimensionless.
    energy
        Photon energy in keV.

    Returns
    -------
    numpy.ndarray
        Electrons per cubic angstrom.

    Notes
    -----
    ``rho = 2 pi delta / (r_e lambda^2)`` with the classical electron radius ``r_e`` and the wavelength ``lambda``,
    divided by `DISPERSION` (Als-Nielsen and McMorrow, Elements of Modern X-ray Physics, 2011).
    """
    wavelength = ENERGY_TIMES_WAVELENGTH / energy
    return 2 * math.pi * np.asarray(delta, np.float64) / (ELECTRON_RADIUS * wavelength**2) / DISPERSION


class Charge(IntFlag):
    """Reservations about a state of charge."""

    FINE = 0
    NEAR_TURN = 1
    OUTSIDE = 2


@dataclass(frozen=True)
class Curve:
    """Electron density against state of charge, with one turning point.

    Attributes
    ----------
    charge
        (n,) lithium taken out, x of Li(3-3x)Ni2.4Mn0.3Co0.3O6, rising.
    density
        (n,) electrons per cubic angstrom at these x; falls to the turning point, then rises.
    source
        Where the numbers come from.
    """

    charge: tuple[float, ...]
    density: tuple[float, ...]
    source: str

    def __post_init__(self) -> None:
        x, rho = np.array(self.charge), np.array(self.density)
        low = int(np.argmin(rho)) if len(rho) else 0
        valley = (np.diff(rho[: low + 1]) < 0).all() and (np.diff(rho[low:]) > 0).all()
        if len(x) < 3 or len(x) != len(rho) or not (np.diff(x) > 0).all() or not valley or low in (0, len(x) - 1):
            raise ValueError(
                f"curve {self.source!r} has charge {self.charge} and density {self.density}; "
                "expected three or more rising charges, densities that fall to one turning point and rise after it"
            )

    @property
    def turn(self) -> float:
        """State of charge at the turning point."""
        return self.charge[int(np.argmin(self.density))]

    def interpolate(self) -> PchipInterpolator:
        """Density as a smooth function of the charge, monotonic on each side of the turning point."""
        return PchipInterpolator(self.charge, self.density)

    def ends(self, branch: Branch) -> tuple[float, float]:
        """First and last charge of one side of the turning point."""
        return (self.turn, self.charge[-1]) if branch == "charged" else (self.charge[0], self.turn)

    @classmethod
    def read(cls, path: str | Path) -> Curve:
        """Read a table: two columns, charge and density, separated by a comma; lines with # name the source.

        Raises
        ------
        FileNotFoundError, ValueError
            When there is no such file or it is not such a table.
        """
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        source = " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
        rows = [line.split(",") for line in lines if line.strip() and not line.startswith("#")]
        try:
            charge, density = zip(*((float(a), float(b)) for a, b in rows), strict=True)
        except ValueError as error:
            raise ValueError(f"{path} is not a table of charge and density: {error}") from None
        return cls(charge, density, source or Path(path).name)


def electrons(charge: ArrayLike) -> Doubles:
    """Electrons per unit cell of three formula units, Li(3-3x)Ni2.4Mn0.3Co0.3O6, at state of charge x (Jiang 2020)."""
    return 139.8 - 9.0 * np.asarray(charge, np.float64)


NMC811 = Curve.read(Path(__file__).with_name("nmc811.csv"))
"""The curve that tomostat ships."""

NEAR = 0.02
"""Distance in x from the turning point within which a state of charge is flagged, as it is within its own error."""


def state_of_charge(
    density: ArrayLike, deviation: ArrayLike, branch: Branch, curve: Curve = NMC811
) -> tuple[Doubles, Doubles, NDArray[np.uint8]]:
    """State of charge from electron density, on a declared side of the turning point.

    Parameters
    ----------
    density, deviation
        (n,) electron density and its standard deviation, electrons per cubic angstrom.
    branch
        ``charged``: x beyond the turning point; ``discharged``: before it.
    curve
        Density against state of charge.

    Returns
    -------
    tuple of numpy.ndarray
        x and its standard deviation (n,) float64, and flags (n,) uint8 (`Charge`). Outside the curve x is extended
        along its end's slope and flagged, never clipped.

    Raises
    ------
    ValueError
        When the branch is neither of the two.

    Notes
    -----
    ``dx = drho / |drho/dx|``, the slope taken no nearer than `NEAR` to the turning point, where it vanishes. Values
    nearer than that, or than dx, are flagged: the other side of the turning point is possible too.
    """
    if branch not in ("charged", "discharged"):
        raise ValueError(f"branch is {branch!r}; expected charged or discharged: the density alone leaves two values")
    rho, spread = np.broadcast_arrays(np.asarray(density, np.float64), np.asarray(deviation, np.float64))
    whole = curve.interpolate()
    low, high = curve.ends(branch)
    grid = np.linspace(low, high, 20001)
    values = whole(grid)
    rising = branch == "charged"
    x = np.interp(rho, values if rising else values[::-1], grid if rising else grid[::-1])
    end = high if rising else low
    slope = whole.derivative()
    beyond = (rho - float(whole(end))) / float(slope(end))
    outside = np.isfinite(rho) & ((rho > values.max()) | (rho < values.min()))
    x = np.where(outside & (rho > values.max()), end + beyond, x)
    x = np.where(np.isnan(rho), np.nan, x)
    safe = np.maximum(x, curve.turn + NEAR) if rising else np.minimum(x, curve.turn - NEAR)
    error = spread / np.abs(slope(np.clip(safe, low, high)))
    unsure = np.abs(x - curve.turn) < np.maximum(error, NEAR)
    flags = np.where(outside, int(Charge.OUTSIDE), 0) | np.where(unsure, int(Charge.NEAR_TURN), 0)
    return x, error, flags.astype(np.uint8)


UNCALIBRATED = "where grey values are not calibrated (no density_scale)"
UNCERTAIN = f"{UNCALIBRATED} or no voxel is clear of all edges, and {TOO_SMALL}"
NO_BRANCH = f"{UNCALIBRATED}, and unless the option branch is given"


@of_field(
    Measure(
        name="electron_density", needs_grey=True,
        units="angstrom^-3", shown=("report", "statistics"), heading="electron density",
        long_name="electron density of the active material clear of all edges",
        definition="2 pi delta / (r_e lambda^2) with the dispersion correction of NMC811, from the refractive "
        "decrement delta of inner_grey; of mean_grey where no voxel is clear of all edges.",
        missing=f"{UNCALIBRATED}, and without active material",
    ),
    Measure(
        name="electron_density_std", needs_grey=True, units="angstrom^-3",
        long_name="spread of the electron density inside the particle",
        definition="Standard deviation over the voxels of inner_grey, the noise of the image included.",
        missing=UNCERTAIN,
    ),
    Measure(
        name="electron_density_profile", needs_grey=True,
        units="angstrom^-3", long_name="electron density by relative depth",
        dims=(SHELL,), definition="electron_density of each shell of grey_profile.", missing=UNCERTAIN,
    ),
    Measure(
        name="soc", needs_grey=True, units="1", long_name="state of charge: lithium taken out, from electron density",
        definition="Inverse of the curve of density over state of charge (option curve) on the side of its turning "
        "point that the option branch declares; beyond the curve along the slope of its end.",
        missing=NO_BRANCH, shown=("report", "statistics"), heading="state of charge",
    ),
    Measure(
        name="soc_std", needs_grey=True,
        units="1", long_name="uncertainty of the state of charge from the noise of the density",
        definition="Standard deviation of the mean density, from electron_density_std and the number of voxels over "
        "that of a grain of correlated ones, over the slope of the curve.",
        missing=f"{NO_BRANCH}; where no voxel is clear of all edges, and {TOO_SMALL}",
    ),
    Measure(
        name="soc_flag", needs_grey=True, dtype="u1", units="", digits=0,
        long_name="state of charge: 1 near the turning point, 2 outside the curve, 3 both",
        definition="1 where the state of charge lies within 0.02, or its own uncertainty, of the turning point, so "
        "that the other side is possible too; 2 where the density lies outside the curve; 3 both.",
        missing=f"0 {NO_BRANCH}",
    ),
)  # fmt: skip
def density(particles: FieldParticles) -> Arrays:
    """Electron density and state of charge, where the volume's grey values are calibrated.

    Voxels within the blur of each other are not independent: they count together in the uncertainty.
    """
    calibration, options = particles.info.calibration, particles.options
    if calibration is None:
        return {}

    def of_grey(grey: Doubles) -> Doubles:
        return electron_density(grey * calibration.scale + calibration.offset, options.energy)

    inner = particles["inner_grey"]
    spread = of_grey(inner + particles["inner_std"]) - of_grey(inner)
    found = {
        "electron_density": of_grey(np.where(np.isfinite(inner), inner, particles["mean_grey"])),
        "electron_density_std": np.abs(spread),
        "electron_density_profile": of_grey(particles["grey_profile"]),
    }
    if options.branch is None:
        return found
    curve = Curve.read(options.curve) if options.curve else NMC811
    grain = (2 * math.sqrt(math.pi) * max(particles.fit.edge_blur, 0.5)) ** 3
    error = np.abs(spread) / np.sqrt(np.maximum(particles["inner_count"] / grain, 1))
    charge, deviation, flags = state_of_charge(found["electron_density"], error, options.branch, curve)
    return found | {"soc": charge, "soc_std": deviation, "soc_flag": flags}
