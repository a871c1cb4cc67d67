"""Changes of a slice as other instruments and magnifications make them: grey and labels in, grey and labels out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tomostat.detect.crops import LabelledSlice
from tomostat.detect.kernels.grey import rings, scale_grey

Grey = NDArray[np.float32]
Change = Callable[[np.random.Generator, Grey], NDArray[np.floating]]


def zoomed(rng: np.random.Generator, one: LabelledSlice, factor: float) -> LabelledSlice:
    """The slice at another magnification; shrunk without aliasing."""
    grey, labels = one
    if factor < 1:
        grey = ndimage.gaussian_filter(grey, 0.5 * (1 / factor - 1))
    grey = ndimage.zoom(grey, factor, order=1, mode="nearest", grid_mode=True)
    nearest = (((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(grey.shape, labels.shape, strict=True))
    return grey.astype(np.float32), np.ascontiguousarray(labels[np.ix_(*nearest)])


def turned(rng: np.random.Generator, one: LabelledSlice) -> LabelledSlice:
    """A quarter turn."""
    grey, labels = (np.ascontiguousarray(np.rot90(image)) for image in one)
    return grey, labels


def changed(rng: np.random.Generator, one: LabelledSlice, change: Change) -> LabelledSlice:
    """Changed grey values, scaled again to the same percentiles."""
    return scale_grey(change(rng, one[0]).astype(np.float32)), one[1]


def _noise(rng: np.random.Generator, grey: Grey, amplitude: float, grain: float = 0.0) -> NDArray[np.floating]:
    noise = ndimage.gaussian_filter(rng.standard_normal(grey.shape), grain)
    return grey + amplitude * noise / noise.std()


def _unsharp(rng: np.random.Generator, grey: Grey, sigma: float) -> NDArray[np.floating]:
    return 2 * grey - ndimage.gaussian_filter(grey, sigma)


def _shading(rng: np.random.Generator, grey: Grey) -> NDArray[np.floating]:
    return grey + 0.4 * np.linspace(-0.5, 0.5, grey.shape[1])


def _rings(rng: np.random.Generator, grey: Grey) -> NDArray[np.floating]:
    return grey + rings(rng, (grey.shape[0], grey.shape[1]))


def _stripes(rng: np.random.Generator, grey: Grey) -> NDArray[np.floating]:
    return grey + 0.06 * rng.standard_normal((grey.shape[0], 1))


def _outliers(rng: np.random.Generator, grey: Grey) -> NDArray[np.floating]:
    return np.where(rng.random(grey.shape) < 0.003, 8, grey)


def _power(rng: np.random.Generator, grey: Grey, gamma: float) -> NDArray[np.floating]:
    return np.maximum(grey, 0) ** gamma


def _blur(rng: np.random.Generator, grey: Grey, sigma: float) -> NDArray[np.floating]:
    return ndimage.gaussian_filter(grey, sigma)


DISTURBANCES: dict[str, Callable[[np.random.Generator, LabelledSlice], LabelledSlice]] = {
    **{f"{factor:g} times the size": partial(zoomed, factor=factor) for factor in (0.5, 0.7, 1.4, 2.0, 3.0)},
    "turned by 90 degrees": turned,
    **{
        name: partial(changed, change=change)
        for name, change in {
            "noise of 0.1 of the contrast": partial(_noise, amplitude=0.1),
            "noise of 0.2": partial(_noise, amplitude=0.2),
            "grainy noise of 0.1": partial(_noise, amplitude=0.1, grain=1.0),
            "blurred by 1.5 pixels": partial(_blur, sigma=1.5),
            "blurred by 3 pixels": partial(_blur, sigma=3.0),
            "gamma 0.5": partial(_power, gamma=0.5),
            "gamma 2": partial(_power, gamma=2.0),
            "sharpened at 2 pixels": partial(_unsharp, sigma=2.0),
            "fringes of 6 pixels": partial(_unsharp, sigma=6.0),
            "shading": _shading,
            "rings": _rings,
            "stripes": _stripes,
            "bright outliers": _outliers,
        }.items()
    },
}
"""By name. Grey values are scaled so that the percentiles 0.5 and 99.5 are 0 and 1."""
