"""Maps of edge energy from a simulated spectro-microscopy stack, and single spectra beside xraylarch.

``python -m benchmarks.bench_xanes [map] [larch]`` prints what is required beside what is measured; the second table is
left out where xraylarch (BSD) is not installed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import erf

from benchmarks.report import Result, print_tables
from tomostat.xanes import XanesOptions, valence_map
from tomostat.xanes.kernels.spectra import half_step_energy, normalise, prepare

Array = NDArray[np.float64]

ENERGY = np.concatenate([np.arange(8200, 8323, 3.0), np.arange(8323, 8367, 0.75), np.arange(8370, 8640, 5.5)])[:150]
"""150 energies around nickel's K edge in eV."""

NOISE = 0.01
"""Standard deviation of the absorption, as a share of the step."""

DRIFT = 0.3
"""Standard deviation of the steps of the sample between two images, in pixels."""


def absorption(edge: Array, energy: Array) -> Array:
    """Spectra (n, ...) with a step and a white line at `edge`, on a falling background."""
    place = energy.reshape(-1, *(1,) * edge.ndim) - edge
    step = 0.5 * (1 + erf(place / 3.0)) * (1 - 2e-4 * place)
    line = 0.3 * np.exp(-0.5 * ((place - 6.0) / 3.0) ** 2)
    return 0.8 - 5e-4 * (place + edge - 8333) + step + line


def half_step(edge: Array) -> Array:
    """Energy at which noiseless spectra, normalised as ours are, pass one half; on a grid of 0.05 eV."""
    energy = np.arange(8200.0, 8640.0, 0.05)
    options = XanesOptions()
    fit = prepare_few(energy, options)
    places = np.linspace(edge.min(), edge.max(), 7)
    found = [half_step_energy(energy, fit(absorption(np.array([place]), energy)), options.edge)[0] for place in places]
    return np.interp(edge, places, found)


def prepare_few(energy: Array, options: XanesOptions) -> Callable[[Array], Array]:
    """Normalisation of single spectra by plain least squares, for energies too many for `prepare`."""

    def fit(spectra: Array) -> Array:
        relative = energy - options.edge
        low, high = ((relative >= a) & (relative <= b) for a, b in (options.pre, options.post))
        flat = spectra[:, 0] - np.polyval(np.polyfit(relative[low], spectra[low, 0], 1), relative)
        step = np.polyval(np.polyfit(relative[high], flat[high], options.order), 0.0)
        return (flat / step)[:, None]

    return fit


def maps(side: int = 512) -> Iterator[Result]:
    """Edge energies of a drifting, noisy particle of many grains."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / side - 0.5
    edge = 8340 + 3 * (x + 0.5)
    inside = np.hypot(y, 0.8 * x) < 0.35
    texture = inside * (1 + 0.4 * ndimage.gaussian_filter(rng.standard_normal((side, side)), 3.0) * 3)
    shift = np.cumsum(rng.normal(0, DRIFT, (len(ENERGY), 2)), axis=0)
    stack = np.empty((len(ENERGY), side, side), np.float32)
    for index, energy in enumerate(ENERGY):
        image = absorption(edge, np.array([energy]))[0] * texture
        moved = ndimage.shift(image, shift[0] - shift[index], order=3)
        stack[index] = moved + NOISE * rng.standard_normal(moved.shape)
    start = time.perf_counter()
    found = valence_map(stack, ENERGY)
    seconds = time.perf_counter() - start
    core = ndimage.binary_erosion(inside, iterations=8)
    error = (found["edge_energy"].to_numpy() - half_step(edge))[core]
    yield Result("pixels without an edge inside the particle", float(np.isnan(error).mean()), 0.001, "<=")
    yield Result("edge energy, mean absolute error", float(np.nanmean(np.abs(error))), 0.1, "<=", "eV")
    yield Result("edge energy, bias", float(np.nanmean(error)), None, "<=", "eV")
    yield Result(f"{len(ENERGY)} energies, {side} x {side}, 2 cores", seconds, 60, "<=", "s")


def beside_larch(count: int = 50) -> Iterator[Result]:
    """Normalised spectra and half steps of single spectra, with the ranges of both alike."""
    from larch.xafs import pre_edge  # type: ignore[import-not-found]

    rng = np.random.default_rng(1)
    options = XanesOptions()
    energy = np.sort(np.append(ENERGY, options.edge))  # xraylarch takes the step at the energy nearest to the edge
    fit = prepare(energy, options.edge, options.pre, options.post, options.order)
    largest, apart = 0.0, 0.0
    for place in rng.uniform(8338, 8344, count):
        spectrum = absorption(np.array([place]), energy)
        ours, _ = normalise(spectrum, fit)
        group = _Group()
        pre_edge(
            energy, spectrum[:, 0], group=group, e0=options.edge, pre1=options.pre[0], pre2=options.pre[1],
            norm1=options.post[0], norm2=options.post[1], nnorm=options.order, nvict=0,
        )  # fmt: skip
        largest = max(largest, float(np.abs(ours[:, 0] - group.norm).max()))
        both = half_step_energy(energy, np.stack([ours[:, 0], group.norm], axis=1), options.edge)
        apart = max(apart, abs(float(np.diff(both)[0])))
    yield Result("normalised spectra, largest difference", largest, 1e-3, "<=")
    yield Result("half steps, largest difference", apart, 0.05, "<=", "eV")


class _Group:
    """What xraylarch writes its results into."""

    norm: Array


TABLES = {"map": maps, **({"larch": beside_larch} if find_spec("larch") else {})}


def main() -> None:
    """Print the tables."""
    print_tables(TABLES, __doc__)


if __name__ == "__main__":
    main()
