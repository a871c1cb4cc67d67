"""Normalisation of absorption spectra, and the energy of their edge; all pixels of a block at once.

The conventions are those of XAFS analysis (Newville, Journal of Synchrotron Radiation 8, 322, 2001): a line through the
energies before the edge is subtracted, and the rest is divided by the step, the polynomial through the energies after
the edge at the edge's energy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tomostat.kernels.arrays import Doubles

LOOK = 60.0
"""Electronvolts to either side of the edge within which half step and white line are looked for."""


class Fit(NamedTuple):
    """Linear maps from a spectrum to what is fitted to it, for one set of energies.

    Attributes
    ----------
    line
        (n, n) from absorption to the line before the edge, at all energies.
    step
        (n,) from absorption less that line to the step at the edge.
    """

    line: Doubles
    step: Doubles


def prepare(energy: Doubles, edge: float, pre: tuple[float, float], post: tuple[float, float], order: int) -> Fit:
    """Least-squares fits as matrices, so that a block of pixels is two products.

    Parameters
    ----------
    energy
        (n,) ascending energies in eV.
    edge
        Energy of the edge.
    pre, post
        Ranges relative to it.
    order
        Order of the polynomial after the edge.

    Raises
    ------
    ValueError
        When a range holds too few energies.
    """
    relative = energy - edge
    line = _polynomial(relative, pre, 1, "before") @ np.eye(len(energy))
    after = _polynomial(relative, post, order, "after")
    return Fit(np.vander(relative, 2, increasing=True) @ line, after[0])


def _polynomial(relative: Doubles, limits: tuple[float, float], order: int, where: str) -> Doubles:
    """Map (order + 1, n) from values at all energies to the coefficients of a fit to those within limits."""
    chosen = (relative >= limits[0]) & (relative <= limits[1])
    if chosen.sum() < order + 2:
        raise ValueError(
            f"{chosen.sum()} energies lie {limits[0]:g} to {limits[1]:g} eV from the edge; a polynomial of order "
            f"{order} {where} it needs {order + 2}: set the range of energies or the edge"
        )
    found = np.zeros((order + 1, len(relative)))
    scale = float(np.abs(relative[chosen]).max())
    powers = np.vander(relative[chosen] / scale, order + 1, increasing=True)
    found[:, chosen] = np.linalg.pinv(powers) / scale ** np.arange(order + 1)[:, None]
    return found


def normalise(absorption: Doubles, fit: Fit) -> tuple[Doubles, Doubles]:
    """Normalised spectra (n, k) and the steps (k,) of absorption (n, k); NaN where there is no step up."""
    flat = absorption - fit.line @ absorption
    step = fit.step @ flat
    return np.divide(flat, step, out=np.full(flat.shape, np.nan), where=step > 0), step


def half_step_energy(energy: Doubles, spectra: Doubles, edge: float) -> Doubles:
    """Energies (k,) at which normalised spectra (n, k) first pass 1/2 near the edge, interpolated; NaN where none."""
    near = np.flatnonzero(np.abs(energy - edge) <= LOOK)
    values = spectra[near]
    if len(near) < 2:
        return np.full(spectra.shape[1], np.nan)
    rises = (values[:-1] < 0.5) & (values[1:] >= 0.5)
    # the last rise below the first place that is clearly above: a single noisy point does not make an edge
    above = np.argmax(values >= 0.75, axis=0)
    known = rises & (np.arange(len(near) - 1)[:, None] < np.where((values >= 0.75).any(axis=0), above, len(near)))
    last = len(near) - 2 - np.argmax(known[::-1], axis=0)
    columns = np.arange(spectra.shape[1])
    low, high = values[last, columns], values[last + 1, columns]
    share = np.divide(0.5 - low, high - low, out=np.zeros_like(low), where=high > low)
    found = energy[near][last] + share * (energy[near][last + 1] - energy[near][last])
    return np.where(known.any(axis=0), found, np.nan)


def white_line_energy(energy: Doubles, spectra: Doubles, edge: float) -> Doubles:
    """Energies (k,) of the maxima of normalised spectra (n, k) near the edge, by a parabola through three points."""
    near = np.flatnonzero(np.abs(energy - edge) <= LOOK)
    values = np.nan_to_num(spectra[near], nan=-np.inf)
    if len(near) < 3:
        return np.full(spectra.shape[1], np.nan)
    top = np.clip(np.argmax(values, axis=0), 1, len(near) - 2)
    columns = np.arange(spectra.shape[1])
    x = np.stack([energy[near][top + i] for i in (-1, 0, 1)])
    y = np.stack([values[top + i, columns] for i in (-1, 0, 1)])
    with np.errstate(invalid="ignore"):
        left, right = (y[1] - y[0]) / (x[1] - x[0]), (y[2] - y[1]) / (x[2] - x[1])
        bend = left - right
        middle = (x[0] + x[1]) / 2 + np.divide(left, bend, out=np.zeros_like(left), where=bend > 0) * (x[2] - x[0]) / 2
    return np.where(np.isfinite(y).all(axis=0) & (bend > 0), np.clip(middle, x[0], x[2]), np.nan)
