"""The XML in which OME-TIFF files tell their axes, their voxel size, and which page of which file holds which plane."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from tomostat.ingest.spacing import axes_spacing
from tomostat.volume import Spacing

logger = logging.getLogger(__name__)

MOST_PLANES = 2**20
"""A file of more planes than that is taken for damaged."""


@dataclass(frozen=True)
class OmePlanes:
    """Planes of an image, by the files that hold them.

    Attributes
    ----------
    axes
        Names of the axes before those of a plane, such as TCZ.
    lengths
        Lengths of these axes.
    file
        Number of each plane's file in `files`, of shape `lengths`; -1 where no file holds it.
    page
        Page of that file, of shape `lengths`.
    files
        Names of files as the XML gives them; None for the file that holds the XML.
    size
        Pixels (ny, nx) of a plane.
    spacing
        Voxel size (z, y, x) in micrometers, where it is known.
    """

    axes: str
    lengths: tuple[int, ...]
    file: NDArray[np.int32]
    page: NDArray[np.int32]
    files: tuple[str | None, ...]
    size: tuple[int, int]
    spacing: Spacing | None


def read_ome(where: str, xml: str) -> list[OmePlanes]:
    """Images that the XML of an OME-TIFF file describes; none where the XML is damaged.

    Parameters
    ----------
    where
        Name of the file, for messages.
    xml
        The XML.

    Raises
    ------
    ValueError
        When another file holds the description.
    """
    try:
        root = ElementTree.fromstring(xml)
        for element in root.iter():
            element.tag = element.tag.rsplit("}", 1)[-1]
        images = [_planes(pixels, root.get("UUID")) for pixels in root.iter("Pixels")]
    except (ElementTree.ParseError, AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        logger.warning("%s: its OME-XML is damaged (%s); taking the pages as they stand", where, error)
        return []
    other = root.find("BinaryOnly")
    if other is not None:
        set_file = other.get("MetadataFile")
        raise ValueError(f"{where} is one file of a set that {set_file!r} describes; give the folder of the set")
    return images


def _planes(pixels: ElementTree.Element, own: str | None) -> OmePlanes:
    """Planes of one image."""
    axes = pixels.attrib["DimensionOrder"][:1:-1].upper()  # without the X and Y at its begin
    channel = pixels.find("Channel")
    samples = int("1" if channel is None else channel.get("SamplesPerPixel", "1"))
    sizes = {axis: int(pixels.attrib[f"Size{axis}"]) for axis in "XYZCT"}
    sizes["C"] //= samples
    lengths = tuple(sizes[axis] for axis in axes)
    count = math.prod(lengths)
    if sorted(axes) != ["C", "T", "Z"] or not 0 < count <= MOST_PLANES:
        raise ValueError(f"it has axes {axes} of lengths {lengths}")
    file, page = np.full(count, -1, np.int32), np.zeros(count, np.int32)
    files: list[str | None] = [None]
    for data in pixels.iter("TiffData"):
        name = data.find("UUID")
        other = None if name is None or name.text == own else name.get("FileName")
        if other not in files:
            files.append(other)
        first = int(np.ravel_multi_index([int(data.get(f"First{axis}", "0")) for axis in axes], lengths))
        number = int(data.get("PlaneCount", data.get("NumPlanes", "1" if "IFD" in data.attrib else str(count - first))))
        number = min(number, count - first)
        file[first : first + number] = files.index(other)
        page[first : first + number] = int(data.get("IFD", "0")) + np.arange(number)
    spacing = axes_spacing(
        [pixels.get(f"PhysicalSize{axis}") for axis in "ZYX"],
        [pixels.get(f"PhysicalSize{axis}Unit", "um") for axis in "ZYX"],
    )
    return OmePlanes(
        axes, lengths, file.reshape(lengths), page.reshape(lengths), tuple(files), (sizes["Y"], sizes["X"]), spacing
    )
