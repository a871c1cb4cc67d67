"""Activation map of the network in a slice, as a picture or as an image to compute with."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from tomostat.detect.checkpoint import load_checkpoint, weights_path
from tomostat.detect.kernels.activation import activation_map
from tomostat.detect.kernels.grey import scale_grey
from tomostat.ingest import open_source
from tomostat.report.style import new_figure, save_png, styled

PICTURE_SUFFIXES = (".png",)
IMAGE_SUFFIXES = (".tif", ".tiff", ".npy")


def write_activation(
    source: str | Path,
    to: str | Path,
    *,
    section: int | None = None,
    weights: str = "shipped",
    level: str = "0",
    kind: Literal["change", "strength"] = "change",
) -> NDArray[np.float32]:
    """Write the activation map of a network in one slice.

    Parameters
    ----------
    source
        Image file or volume.
    to
        ``.png`` for the map beside the slice; ``.tif`` or ``.npy`` for its values, float32 from 0 to 1.
    section
        Slice of a volume; the middle one when not given.
    weights
        shipped (the fast one), accurate, or the path of a checkpoint.
    level, kind
        As in `tomostat.detect.kernels.activation.activation_map`.

    Returns
    -------
    numpy.ndarray
        The map, (ny, nx) float32.

    Raises
    ------
    FileNotFoundError, ValueError
        When source or weights are missing, the volume has no such slice, or the suffix, level or kind is unknown.
    """
    to = Path(to)
    if to.suffix not in PICTURE_SUFFIXES + IMAGE_SUFFIXES:
        raise ValueError(f"to is {to}; expected a name that ends in {', '.join(PICTURE_SUFFIXES + IMAGE_SUFFIXES)}")
    network = load_checkpoint(weights_path(weights)).network
    volume = open_source(source)
    depth, ny, nx = volume.shape
    chosen = depth // 2 if section is None else section
    if not 0 <= chosen < depth:
        raise ValueError(f"section is {section}; {source} has slices 0 to {depth - 1}")
    reach = network.config.halo
    below, above = max(chosen - reach, 0), min(chosen + reach, depth - 1)
    near = volume.read((slice(below, above + 1), slice(0, ny), slice(0, nx)))
    near = near[np.clip(np.arange(chosen - reach, chosen + reach + 1), below, above) - below]
    grey = scale_grey(near.astype(np.float32))
    activation = activation_map(network, torch.from_numpy(grey), level, kind).numpy()
    to.parent.mkdir(parents=True, exist_ok=True)
    if to.suffix == ".npy":
        np.save(to, activation)
    elif to.suffix in IMAGE_SUFFIXES:
        tifffile.imwrite(to, activation)
    else:
        _draw(grey[reach], activation, to)
    return activation


def _draw(grey: NDArray[np.float32], activation: NDArray[np.float32], to: Path) -> None:
    """Draw the slice and its activation map side by side."""
    with styled():
        figure = new_figure(10.0, 5.0 * grey.shape[0] / grey.shape[1] + 0.3)
        left, right = figure.subplots(1, 2)
        left.imshow(grey, cmap="gray", vmin=0, vmax=1)
        right.imshow(activation, cmap="inferno", vmin=0, vmax=1)
        for axes, name in ((left, "slice"), (right, "activation map")):
            axes.set_title(name)
            axes.grid(visible=False)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        save_png(figure, to)
