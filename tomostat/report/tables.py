"""HTML tables and their cells."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd
import xarray as xr

from tomostat.datasets import flatten
from tomostat.report.style import colour
from tomostat.report.text import DASH, between, number

KEYS = ("condition", "sample", "field", "label")
"""Columns that say which particle a row is of."""


def particle_rows(particles: xr.Dataset, *columns: str) -> pd.DataFrame:
    """Some columns of particles, after those that say which particle it is; columns that are not there are left out."""
    return flatten(particles[[name for name in (*KEYS, *columns) if name in particles]])


def table(head: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1, caption: str = "") -> str:
    """HTML table; the first `texts` columns are words, the others numbers. Cells are HTML."""

    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(f"<{tag}{' class=text' if i < texts else ''}>{v}</{tag}>" for i, v in enumerate(values))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    below = f"<caption>{caption}</caption>" if caption else ""
    top = f"<thead><tr>{cells('th', head)}</tr></thead>"
    return f'<div class="scroll"><table>{below}{top}<tbody>{body}</tbody></table></div>'


def with_interval(value: float, interval: Any, scale: float = 100, digits: int = 1) -> str:
    """A value with its interval in small print."""
    text = number(scale * value, digits)
    return text if text == DASH else f"{text}<small>{between(interval, scale, digits)}</small>"


def condition_cell(index: int, name: str) -> str:
    """Name of a condition with a dot in its colour."""
    return f'<span class="dot" style="--tint:{colour(index)}"></span>{escape(name)}'
