"""How figures look: one font size, few lines, colours that colour-blind readers can distinguish."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, StrMethodFormatter

from tomostat.phase import Phase

INK = "#1d2935"
MUTED = "#64717f"
GRID = "#e4e8ec"
MISSING = "#b9c0c7"
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5b4a8a", "#7f7f7f")
"""Okabe and Ito's colours, which colour-blind readers can distinguish; one per condition."""
DEGREES = ("#2b59b5", "#1c8bc4", "#38b29f", "#a5c466", "#f7c93b")
"""From intact to fully detached: lightness rises evenly, and no colour is so dark that shading cannot be seen on it."""
CONTACT, GAP = "#0072B2", "#D55E00"
"""Surface in contact with carbon-binder, and surface that is not."""
PHASES = {
    Phase.PORE: ("pore", "#eef2f5"),
    Phase.CBD: ("carbon-binder", "#4a5a6a"),
    Phase.ACTIVE: ("active material", "#e2a24a"),
    Phase.COLLECTOR: ("current collector", "#8fb6c9"),
    Phase.OUTSIDE: ("outside", "#ffffff"),
}
DPI = 200
"""Twice the 100 pixels per inch at which the page shows a picture."""

_RC: Any = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": True,
    "legend.framealpha": 0.75,
    "legend.edgecolor": "none",
    "legend.borderpad": 0.2,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "svg.hashsalt": "tomostat",
    "image.interpolation": "nearest",
    "image.resample": True,
}
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, 'DejaVu Sans', sans-serif"


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the report's style; the caller's settings are restored afterwards."""
    with mpl.rc_context(_RC):
        yield


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """Figure of a size in inches (100 pixels of the page each), with no global state."""
    figure = Figure(figsize=(width, height), layout=options.pop("layout", "constrained"), **options)
    FigureCanvasAgg(figure)
    return figure


def colour(index: int) -> str:
    """Colour of a condition by its place."""
    return PALETTE[index % len(PALETTE)]


def degrees_map() -> Colormap:
    """Colours of the degree of detachment, 0 to 1; grey where it is unknown."""
    return LinearSegmentedColormap.from_list("degrees", DEGREES).with_extremes(bad=MISSING)


def resistance_map() -> Colormap:
    """Colours of the local resistance: bright where current enters, dark red far from it; grey where unknown."""
    tints = mpl.colormaps["YlOrRd"](np.linspace(0.04, 0.96, 32))
    return LinearSegmentedColormap.from_list("resistance", tints).with_extremes(bad=MISSING)


def logarithmic(axes: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, with plain numbers: powers of ten are mathematical text, and `_RC` has none."""
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(LogFormatter())


def frameless(axes: Axes) -> None:
    """Leave only the picture of axes, without grid and frame."""
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def letter(axes: Axes, text: str) -> None:
    """Letter of a panel, left of its title."""
    axes.annotate(text, (0, 1), (-26, 7), xycoords="axes fraction", textcoords="offset points", weight="bold", size=12)


def save_svg(figure: Figure, path: Path, **options: Any) -> str:
    """Write a drawing, and give it; text stays text, in the reader's font."""
    figure.savefig(path, format="svg", metadata={"Date": None}, dpi=DPI, **options)
    drawing = path.read_text(encoding="utf-8")
    for family in ("'DejaVu Sans', sans-serif", "'DejaVu Sans'", "DejaVu Sans"):
        drawing = drawing.replace(family, "@")
    drawing = drawing.replace("@", _FONTS)
    path.write_text(drawing, encoding="utf-8")
    return drawing


def save_png(figure: Figure, path: Path, **options: Any) -> None:
    """Write a picture at twice the page's resolution."""
    quick = {"compress_level": 3}  # a third of the time for a few percent more bytes
    figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None}, pil_kwargs=quick, **options)
