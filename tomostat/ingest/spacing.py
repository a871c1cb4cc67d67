"""Voxel sizes from the metadata of image files, in micrometers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from tomostat.volume import Spacing

MICROMETERS = {
    "m": 1e6, "cm": 1e4, "mm": 1e3, "um": 1.0, "nm": 1e-3, "pm": 1e-6,
    "meter": 1e6, "metre": 1e6, "centimeter": 1e4, "centimetre": 1e4, "millimeter": 1e3, "millimetre": 1e3,
    "micrometer": 1.0, "micrometre": 1.0, "micron": 1.0, "nanometer": 1e-3, "nanometre": 1e-3,
    "angstrom": 1e-4, "å": 1e-4, "inch": 25400.0,
}  # fmt: skip
"""Micrometers in a unit of length, by its names."""

PLAUSIBLE = (1e-3, 20.0)
"""Smallest and largest voxel size in micrometers for which the resolution tags of a TIFF file are trusted."""

CENTIMETER = 3
"""Value of the TIFF tag ResolutionUnit."""


def micrometers(value: Any, unit: Any) -> float | None:
    """A length in micrometers; None when the value is no positive number or the unit is unknown.

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
        length = float(value) * factor if factor else 0.0
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
        ImageJ's description: ``unit``, and ``spacing`` between slices.
    resolution
        Pixels per unit along x and y.
    """
    unit = metadata.get("unit")
    x, y = (micrometers(1 / value, unit) if value else None for value in resolution)
    return _known_spacing(micrometers(metadata.get("spacing"), unit), y, x)


def ome_spacing(xml: str) -> Spacing | None:
    """Spacing in the OME-XML of an OME-TIFF file."""
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return None
    pixels = next((node for node in root.iter() if node.tag.rsplit("}", 1)[-1] == "Pixels"), None)
    if pixels is None:
        return None
    sizes = [
        micrometers(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "um")) for axis in "ZYX"
    ]
    return _known_spacing(sizes[0], sizes[1], sizes[2])


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
    plausible = all(PLAUSIBLE[0] <= size <= PLAUSIBLE[1] for size in (x, y))
    return _known_spacing(None, y, x) if plausible else None


def axes_spacing(scale: Sequence[float], units: Sequence[Any]) -> Spacing | None:
    """Spacing from a scale and a unit per axis, (z, y, x) or (y, x)."""
    sizes = [micrometers(value, unit) for value, unit in zip(scale, units, strict=True)]
    return _known_spacing(*([None] * (3 - len(sizes)) + sizes))


def attribute_spacing(attributes: Mapping[str, Any], axes: int) -> Spacing | None:
    """Spacing among the attributes of an HDF5 dataset or a zarr array.

    Parameters
    ----------
    attributes
        ``element_size_um`` (as Fiji and ilastik write it), or ``spacing``, ``voxel_size``, ``pixel_size`` or
        ``resolution`` with ``units`` beside it or in its name; one number, or one per axis.
    axes
        Axes of the data, 2 or 3.
    """
    for name, value in attributes.items():
        found = re.fullmatch(r"(element_size|spacing|voxel_?size|pixel_?size|resolution)(?:_([a-z]+))?", name.lower())
        if not found:
            continue
        unit = found[2] if found[2] in MICROMETERS else attributes.get("units", attributes.get("unit"))
        numbers = list(value) if hasattr(value, "__len__") and not isinstance(value, str | bytes) else [value] * axes
        if len(numbers) in (axes, 3) and (spacing := axes_spacing(numbers[-axes:], [unit] * axes)):
            return spacing
    return None
