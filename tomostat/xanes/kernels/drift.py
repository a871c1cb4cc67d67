"""Drift of the images of a stack, from each to the next."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from tomostat.kernels.arrays import Doubles

FINENESS = 20
"""Shifts are found to a pixel over this."""

SMOOTHING = 1.0
"""Sigma in pixels of the images whose shift is found."""


def drift(images: Iterable[Doubles]) -> Doubles:
    """Shifts (n, 2) in pixels that move every image onto the first; neighbours are compared, since contrast changes.

    Guizar-Sicairos, Thurman and Fienup, Optics Letters 33, 156 (2008), by scikit-image, on gradients: the edge changes
    grey values, and outlines stay.
    """
    total, before, found = np.zeros(2), None, []
    for image in images:
        outline = ndimage.gaussian_gradient_magnitude(image, SMOOTHING)
        if before is not None:
            shift, _, _ = phase_cross_correlation(before, outline, upsample_factor=FINENESS, normalization=None)
            total = total + shift
        found.append(total)
        before = outline
    return np.array(found)


def shifted(image: Doubles, shift: Doubles) -> Doubles:
    """An image moved by a shift in pixels; what was not seen is NaN."""
    return np.asarray(ndimage.shift(image, shift, order=3, mode="constant", cval=np.nan))
