"""From two maps to their correlation: registered, masked, with intervals, and a figure."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from tomostat.correlate.kernels.blocks import BlockCorrelation, block_correlation, block_side, ranked
from tomostat.correlate.kernels.registration import Placement, Search, place, register
from tomostat.correlate.maps import LEAST_PIXELS, PlaneMap
from tomostat.correlate.options import CorrelateOptions
from tomostat.files import atomic, write_text
from tomostat.kernels.arrays import Doubles, Mask
from tomostat.options import as_dict

SIGNS = {"either": 0, "positive": 1, "negative": -1}
DISTINCT = 0.05
"""Difference of the scores of the best and the second placement below which the place is called doubtful."""


@dataclass(frozen=True)
class Correlation:
    """Two maps on the pixels of the first, and how they go together.

    Attributes
    ----------
    first, second
        (h, w) values; the second moved onto the first.
    mask
        (h, w) pixels where both are known.
    placement
        Where the second map lies on the first.
    pearson, spearman
        Correlations with intervals.
    side
        Side in pixels of the blocks that were resampled.
    notes
        What limits the result, in sentences.
    """

    first: Doubles
    second: Doubles
    mask: Mask
    placement: Placement
    pearson: BlockCorrelation
    spearman: BlockCorrelation
    side: int
    notes: tuple[str, ...]

    def sentence(self, confidence: float) -> str:
        """The correlations in words."""
        words = []
        for name, one in (("Pearson", self.pearson), ("Spearman", self.spearman)):
            low, high = one.interval
            ends = f"{low:.2f} to {high:.2f}" if np.isfinite(low) else "no interval: too few independent pixels"
            words.append(f"{name} {one.value:.2f} ({ends})")
        return f"{', '.join(words)} at {100 * confidence:g} %, {int(self.mask.sum())} pixels in blocks of {self.side}."


def correlate_maps(first: PlaneMap, second: PlaneMap, options: CorrelateOptions | None = None) -> Correlation:
    """Register two maps of the same object, and correlate them.

    Parameters
    ----------
    first, second
        The maps; the second is moved.
    options
        What is looked for, and how intervals are computed.

    Raises
    ------
    ValueError
        When a map has too few pixels, the maps differ in size without pixel sizes that say why, or hardly overlap.
    """
    options = options or CorrelateOptions()
    scale = _scale(first, second)
    mask, other = first.mask(options.mask, options.rim), second.mask(options.mask, options.rim / scale)
    outline = not mask.all() and not other.all()
    search = Search(
        scale=scale,
        tolerance=options.scale,
        rotation=options.rotation,
        flip=options.flip,
        sign=SIGNS[options.sign],
        outline=outline,
    )
    found = register(np.nan_to_num(first.values), mask, np.nan_to_num(second.values), other, search)
    moved, inside = place(np.nan_to_num(second.values), other, found.placement, first.values.shape)
    both = mask & inside
    if both.sum() < LEAST_PIXELS:
        raise ValueError(
            f"{first.name} and {second.name} overlap in {both.sum()} pixels; expected {LEAST_PIXELS} or more"
        )
    side = options.block or block_side(np.nan_to_num(first.values), moved, both)
    pearson, spearman = (
        block_correlation(
            a, b, both, side=side, confidence=options.confidence, resamples=options.resamples,
            rng=np.random.default_rng(options.seed),
        )
        for a, b in ((np.nan_to_num(first.values), moved), (ranked(first.values, both), ranked(moved, both)))
    )  # fmt: skip
    notes = []
    if found.score - found.runner_up < DISTINCT:
        notes.append(
            f"Another placement is nearly as good (score {found.runner_up:.2f} against {found.score:.2f}): rotation, "
            "flip or shift are doubtful, and with them the correlation."
        )
    if search.tolerance and abs(abs(np.log(found.placement.scale / search.scale)) - np.log1p(search.tolerance)) < 1e-3:
        notes.append(
            "The scale is at the end of the range that was looked at: check the pixel sizes, or allow for more."
        )
    if not outline:
        background = (
            "; the correlation is that of an object with its background, if there is one: --mask otsu leaves it out"
            if options.mask == "values"
            else ""
        )
        notes.append(f"The masks do not outline an object: the maps were placed by their values alone{background}.")
    if not np.isfinite(pearson.interval).all():
        notes.append("The maps vary too slowly over their mask for an interval: there are too few independent pixels.")
    notes.append(
        "The placement was chosen to make the maps agree, so that the correlation is slightly too large; the "
        "intervals do not hold the uncertainty of the placement."
    )
    values = np.where(mask, first.values, np.nan)
    return Correlation(
        values, np.where(inside, moved, np.nan), both, found.placement, pearson, spearman, side, tuple(notes)
    )


def _scale(first: PlaneMap, second: PlaneMap) -> float:
    """Pixels of the first map on a pixel of the second."""
    if first.pixel is not None and second.pixel is not None:
        return second.pixel / first.pixel
    if first.values.shape != second.values.shape:
        raise ValueError(
            f"{first.name} has {' x '.join(map(str, first.values.shape))} pixels, {second.name} "
            f"{' x '.join(map(str, second.values.shape))}, and the pixel size of one is unknown; give both pixel sizes"
        )
    return 1.0


def write_correlation(
    folder: str | Path, found: Correlation, first: PlaneMap, second: PlaneMap, options: CorrelateOptions
) -> None:
    """Write figure, registered maps and numbers, whole or not at all.

    Parameters
    ----------
    folder
        Folder to write: ``correlation.png`` and ``.svg``, ``maps.tif`` (both maps and the mask, float32),
        ``pixels.csv`` and ``correlation.json``.
    found, first, second, options
        The result, and what it was made from.
    """
    from tomostat.correlate.figure import draw_correlation
    from tomostat.report.style import save_png, save_svg, styled

    with atomic(folder) as part:
        part.mkdir()
        with styled():
            figure = draw_correlation(found, first, second, options.confidence)
            save_svg(figure, part / "correlation.svg")
            save_png(figure, part / "correlation.png")
        maps = np.stack([found.first, found.second, found.mask]).astype(np.float32)
        tifffile.imwrite(part / "maps.tif", maps, photometric="minisblack")
        y, x = np.nonzero(found.mask)
        columns = np.column_stack([y, x, found.first[found.mask], found.second[found.mask]])
        np.savetxt(part / "pixels.csv", columns, "%.7g", ",", header="y,x,first,second", comments="")
        write_text(part / "correlation.json", json.dumps(_numbers(found, first, second, options), indent=1))


def _numbers(found: Correlation, first: PlaneMap, second: PlaneMap, options: CorrelateOptions) -> dict[str, object]:
    intervals = {
        name: {"value": one.value, "interval": [None if np.isnan(end) else float(end) for end in one.interval]}
        for name, one in (("pearson", found.pearson), ("spearman", found.spearman))
    }
    return {
        "first": first.name,
        "second": second.name,
        "placement": dataclasses.asdict(found.placement),
        "pixels": int(found.mask.sum()),
        "block": found.side,
        **intervals,
        "sentence": found.sentence(options.confidence),
        "notes": list(found.notes),
        "options": as_dict(options),
    }
