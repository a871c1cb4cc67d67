"""Voxel sizes from the metadata of image files, in micrometers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tomostat.ingest.axes import Axes
from tomostat.volume import Spacing

MICROMETERS = {
    "m": 1e6, "cm": 1e4, "mm": 1e3, "um": 1.0, "nm": 1e-3, "pm": 1e-6,
    "meter": 1e6, "metre": 1e6, "centimeter": 1e4, "centimetre": 1e4, "millimeter": 1e3, "millimetre": 1e3,
    "micrometer": 1.0, "micrometre": 1.0, "micron": 1.0, "nanometer": 1e-3, "nanometre": 1e-3,
    "angstrom": 1e-4, "å": 1e-4, "inch": 25400.0,
}  # fmt: skip
"""Micrometers in a unit of length, by its names."""

PLAUSIBLE = (1e-3, 20.0)
"""Smallest and largest voxel size in micrometers for which the resolution tags of a TIFF file, and the
millimeters of medical formats, are trusted."""

CENTIMETER = 3
"""Value of the TIFF tag ResolutionUnit."""


def micrometers(value: Any, unit: Any) -> float | None:
    """A length in micrometers; None when the value is 0 or no number, or the unit is unknown.

    A negative one says that the axis runs the other way: its sign is left out.

    Parameters
    ----------
    value
        A number, or text that is one.
    unit
        Name of a unit of length, in upper or lower case, singular or plural.
    """
    text = unit.decode() if isinstance(unit, bytes) else str(unit or "")
    name = text.strip().replace("\\u00B5", "u").replace("µ", "u").replace("μ", "u")
    factor = MICROMETERS.get(name) or MICROMETERS.get(name.lower()) or MICROMETERS.get(name.lower().rstrip("s"))
    try:
        length = abs(float(value)) * factor if factor else 0.0
    except (TypeError, ValueError):
        return None
    return length if 0 < length < float("inf") else None


def _known_spacing(z: float | None, y: float | None, x: float | None) -> Spacing | None:
    """Spacing when y and x are known; an unknown z is taken to equal them where pixels are square (a tomogram)."""
    if y is None or x is None:
        return None
    if z is None and abs(y - x) > 1e-3 * x:
        return None
    return (y if z is None else z), y, x


def imagej_spacing(metadata: Mapping[str, Any], resolution: Sequence[float]) -> Spacing | None:
    """Spacing of a TIFF file written by ImageJ.

    Parameters
    ----------
    metadata
        ImageJ's description: ``unit``, ``yunit`` and ``zunit`` where they differ, and ``spacing`` between slices.
    resolution
        Pixels per unit along x and y.
    """
    unit = metadata.get("unit")
    along_x, along_y = resolution
    return axes_spacing(
        (metadata.get("spacing"), 1 / along_y if along_y else None, 1 / along_x if along_x else None),
        (metadata.get("zunit", unit), metadata.get("yunit", unit), unit),
    )


def resolution_spacing(resolution: Sequence[float], unit: int) -> Spacing | None:
    """Spacing from the resolution tags of a TIFF file, where they can be trusted.

    Most programs leave the resolution of a printer (72 or 300 per inch) in these tags. Only resolutions per centimeter
    count, and only where the voxel size is that of a microscope.

    Parameters
    ----------
    resolution
        Pixels per unit along x and y.
    unit
        Value of the tag ResolutionUnit.
    """
    if int(unit) != CENTIMETER or not all(resolution):
        return None
    x, y = (1e4 / value for value in resolution)
    return plausible(_known_spacing(None, y, x))


def plausible(spacing: Spacing | None) -> Spacing | None:
    """A spacing that a microscope may have; None for any other, which a program may have left there as a default."""
    if spacing is None or not all(PLAUSIBLE[0] <= size <= PLAUSIBLE[1] for size in spacing):
        return None
    return spacing


def axes_spacing(scale: Sequence[Any], units: Sequence[Any]) -> Spacing | None:
    """Spacing from a scale and a unit each for z, y and x; None where one is not known."""
    z, y, x = (micrometers(value, unit) for value, unit in zip(scale, units, strict=True))
    return _known_spacing(z, y, x)


def attribute_spacing(attributes: Mapping[str, Any], axes: Axes) -> Spacing | None:
    """Spacing among the attributes of an HDF5 dataset or a zarr array.

    Parameters
    ----------
    attributes
        ``element_size_um`` (as Fiji and ilastik write it), or ``spacing``, ``voxel_size``, ``pixel_size`` or
        ``resolution`` with ``units`` beside it or in its name; one number, one per axis of the array, or z y x.
    axes
        Where z, y and x lie in the array.
    """
    for name, value in attributes.items():
        found = re.fullmatch(r"(element_size|spacing|voxel_?size|pixel_?size|resolution)(?:_([a-z]+))?", name.lower())
        if not found:
            continue
        unit = found[2] if found[2] in MICROMETERS else attributes.get("units", attributes.get("unit"))
        numbers, units = _of_axes(value, axes), _of_axes(unit, axes)
        if numbers and units and (spacing := axes_spacing(numbers, units)):
            return spacing
    return None


def _of_axes(value: Any, axes: Axes) -> tuple[Any, Any, Any] | None:
    """One value each for z, y and x, out of one for all, one for every axis of the array, or z y x; else None."""
    if not isinstance(value, list | tuple):
        return value, value, value
    if len(value) == len(axes.lengths):
        return axes.pick(value)
    return (value[0], value[1], value[2]) if len(value) == 3 else None
