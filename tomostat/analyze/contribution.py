"""What a particle contributes to the cell: a model, after the sketch in Fig. 4e of Jiang et al. (2020).

Detachment takes electrical contact away and opens surface to the electrolyte; the lower of the two conductances
governs. Mild detachment may therefore help, and severe detachment harms. The material's conductivity grows as lithium
is taken out, which shifts the electrical curve and with it the best detachment. The paper gives the sketch and no
formula: the forms and numbers below are the simplest that have its properties. Nothing here is measured.

Sources of the parameters: [P] the paper, [L] literature, [?] plausible, to be set by the user.
Conductances are relative to the ionic one of a particle that is open to the electrolyte on all sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from tomostat.kernels.arrays import Doubles
from tomostat.options import check

CHARGES = (0.3, 0.5, 0.8)
"""States of charge whose curves are given."""

ROUNDS = 60
"""Halvings of the interval that holds the best detachment."""

NAMES = {
    "electrical": "electrical conductance of a particle (model)",
    "ionic": "ionic conductance of a particle (model)",
    "contribution": "contribution of a particle to the cell (model): the lower of its conductances",
}


@dataclass(frozen=True, kw_only=True)
class ContributionModel:
    """Parameters of the model.

    Attributes
    ----------
    contact
        Electrical conductance of the contacts of an intact particle [?].
    solid
        Electrical conductance of the solid of an intact particle at the state of charge `charge` [?].
    charge
        State of charge at which `solid` holds, x of Li(1-x) [?].
    decades
        Powers of ten by which the solid conducts better for a rise of 1 in the state of charge. That it changes
        significantly is [P]; NMC333 and NMC523 gain five from x = 0 to 0.75, Amin and Chiang, J. Electrochem. Soc. 163,
        A1512 (2016) [L]; less is taken for Ni-rich material, which conducts better from the start [?].
    electrical_power
        Power of the attached share of the surface with which the electrical conductance falls: 1 where the area of
        contact counts, 1/2 where the narrowing of the current towards it does [?].
    covered
        Ionic conductance of an intact particle, through the pores of the carbon-binder that covers it [?].
    ionic_power
        Power of the detached share of the surface with which the ionic conductance rises from `covered` to 1 [?].
    """

    contact: float = 1.0
    solid: float = 1.0
    charge: float = 0.5
    decades: float = 3.0
    electrical_power: float = 1.0
    covered: float = 0.3
    ionic_power: float = 1.0

    def __post_init__(self) -> None:
        for name in ("contact", "solid", "electrical_power", "ionic_power"):
            value = getattr(self, name)
            check(0 < value < float("inf"), name, value, "a positive number")
        check(0 <= self.charge <= 1, "charge", self.charge, "a number from 0 to 1")
        check(0 <= self.decades <= 20, "decades", self.decades, "a number from 0 to 20")
        check(0 <= self.covered <= 1, "covered", self.covered, "a number from 0 to 1")


@dataclass(frozen=True)
class Contributions:
    """Conductances and contribution, arrays of one shape; NaN where the detachment or the charge is unknown.

    Attributes
    ----------
    electrical, ionic
        Conductances relative to the ionic one of a particle open on all sides.
    contribution
        The lower of the two.
    """

    electrical: Doubles
    ionic: Doubles
    contribution: Doubles


def contributions(
    detachment: ArrayLike, charge: ArrayLike | None = None, model: ContributionModel | None = None
) -> Contributions:
    """Conductances and contribution of particles.

    Parameters
    ----------
    detachment
        Degree of detachment d, 0 to 1, any shape.
    charge
        State of charge x, broadcast against it; that of the model when not given. Values beyond 0 and 1 are clipped.
    model
        Parameters.

    Raises
    ------
    ValueError
        When a detachment lies outside 0 to 1.

    Notes
    -----
    ``electrical = (1 - d)^p / (1 / contact + 1 / (solid 10^(decades (x - charge))))``: contacts and solid in series,
    both in proportion to the attached share of the surface to the power p. ``ionic = covered + (1 - covered) d^q``.
    """
    model = model or ContributionModel()
    d, x = np.broadcast_arrays(
        np.asarray(detachment, np.float64), np.asarray(model.charge if charge is None else charge, np.float64)
    )
    off = (d < 0) | (d > 1)
    if off.any():
        raise ValueError(f"detachment holds {d[off][0]:g}; expected values from 0 to 1 or NaN")
    solid = model.solid * 10.0 ** (model.decades * (np.clip(x, 0, 1) - model.charge))
    electrical = (1 - d) ** model.electrical_power / (1 / model.contact + 1 / solid)
    ionic = model.covered + (1 - model.covered) * d**model.ionic_power
    return Contributions(electrical, ionic, np.minimum(electrical, ionic))


def best_detachment(charge: ArrayLike | None = None, model: ContributionModel | None = None) -> Doubles:
    """Detachment at which a particle contributes most, for every state of charge.

    The electrical conductance falls and the ionic one rises, so the best is where they meet, or 0 where the electrical
    one is the lower from the start.
    """
    model = model or ContributionModel()
    x = np.asarray(model.charge if charge is None else charge, np.float64)
    low, high = np.zeros(x.shape), np.ones(x.shape)
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        found = contributions(middle, x, model)
        short = found.electrical > found.ionic
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return np.where(np.isnan(x), np.nan, np.where(low > 0, (low + high) / 2, 0.0))


def particle_contributions(particles: xr.Dataset, model: ContributionModel | None = None) -> xr.Dataset:
    """The model at the detachment and state of charge of every particle.

    Parameters
    ----------
    particles
        Particle table, dim ``particle``, with ``detachment``; ``soc`` is used where the table has any, else all
        particles are given the state of charge of the model.
    model
        Parameters.

    Returns
    -------
    xarray.Dataset
        Dim ``particle``: `electrical`, `ionic`, `contribution`, NaN where the detachment is unknown; the first and last
        also where the state of charge of a particle is, if those of others are known.

    Raises
    ------
    ValueError
        When the table has no detachment.
    """
    if "detachment" not in particles:
        raise ValueError("particles has no column 'detachment'; make the table with `tomostat measure`")
    charge = particles["soc"].to_numpy() if "soc" in particles else None
    known = charge is not None and bool(np.isfinite(charge).any())
    # rounding may leave a share of the surface slightly below 0 or above 1
    found = contributions(np.clip(particles["detachment"].to_numpy(), 0, 1), charge if known else None, model)
    return xr.Dataset(
        {name: ("particle", getattr(found, name), {"units": "1", "long_name": text}) for name, text in NAMES.items()}
    )


def model_curves(degrees: Doubles, model: ContributionModel | None = None) -> xr.Dataset:
    """The curves of the model at the states of charge `CHARGES`.

    Parameters
    ----------
    degrees
        (n,) degrees of detachment, ``degree`` of the results.
    model
        Parameters.

    Returns
    -------
    xarray.Dataset
        `model_electrical` and `model_contribution` (charge, degree), `model_ionic` (degree), `model_best` (charge).
    """
    charge = np.array(CHARGES)
    found = contributions(degrees, charge[:, None], model)
    curves = {
        "electrical": (("charge", "degree"), found.electrical),
        "ionic": (("degree",), found.ionic[0]),
        "contribution": (("charge", "degree"), found.contribution),
    }
    variables = {
        f"model_{name}": (dims, values, {"units": "1", "long_name": NAMES[name]})
        for name, (dims, values) in curves.items()
    }
    best = {"units": "1", "long_name": "detachment at which a particle contributes most (model)"}
    variables["model_best"] = (("charge",), best_detachment(charge, model), best)
    return xr.Dataset(variables, {"charge": ("charge", charge, {"units": "1", "long_name": "state of charge"})})
