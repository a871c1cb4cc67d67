"""Two registered maps side by side, and the values of their pixels against each other (Fig. 5c, d)."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from tomostat.correlate.maps import PlaneMap
from tomostat.correlate.results import Correlation
from tomostat.report.style import INK, colour, new_figure


def draw_correlation(found: Correlation, first: PlaneMap, second: PlaneMap, confidence: float) -> Figure:
    """Both maps on the pixels of the first, cut to where there is anything, and their scatter plot.

    Parameters
    ----------
    found
        The registered maps and their correlation.
    first, second
        The maps as given, for their names and pixel size.
    confidence
        Level of the intervals.
    """
    rows, columns = (np.flatnonzero(found.mask.any(axis=axis)) for axis in (1, 0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    figure = new_figure(11.0, 3.9)
    panels = figure.subplots(1, 3)
    size = 1.0 if first.pixel is None else first.pixel
    height, width = (size * found.mask[box].shape[axis] for axis in (0, 1))
    unit = "pixels" if first.pixel is None else "µm"
    for axes, values, one in zip(panels[:2], (found.first, found.second), (first, second), strict=True):
        shown = np.where(found.mask, values, np.nan)[box]
        low, high = np.nanquantile(shown, [0.01, 0.99])
        image = axes.imshow(shown, cmap="viridis", vmin=low, vmax=high, extent=(0, width, height, 0))
        axes.set_title(one.name)
        axes.set_xlabel(unit)
        axes.grid(visible=False)
        figure.colorbar(image, ax=axes, shrink=0.8)
    a, b = found.first[found.mask], found.second[found.mask]
    panels[2].plot(a, b, ".", color=colour(0), markersize=2, alpha=0.4, rasterized=True)
    low, high = found.pearson.interval
    ends = f" ({low:.2f} to {high:.2f})" if np.isfinite(low) else ""
    panels[2].set_title(f"Pearson r = {found.pearson.value:.2f}{ends}", color=INK)
    panels[2].set_xlabel(first.name)
    panels[2].set_ylabel(second.name)
    return figure
