"""Drawings, pictures and bytes as text inside the page, so that it is one file."""

from __future__ import annotations

import base64
import re
from html import escape
from importlib import resources
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from tomostat.report.style import GRID, INK, MUTED

QUALITY = 82
"""Quality of pictures on the page, from 0 to 100; the files beside it lose nothing."""

METHOD = 1
"""How hard the encoder tries, from 0 to 6: a third of the default's time, for a tenth more bytes."""

_COLOURS = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)", "#ffffff": "var(--page)"}
"""Colours of a drawing that change with the page's, which may be light or dark."""


def asset(name: str) -> str:
    """Text of a file in the folder ``assets``."""
    return (resources.files("tomostat.report") / "assets" / name).read_text(encoding="utf-8")


def inline_svg(drawing: str, name: str, alt: str) -> str:
    """A drawing as an element of the page: its own ids carry its name, and ink and paper are the page's."""
    body = drawing[drawing.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    body = re.sub(r'href="#', f'href="#{name}-', body)
    for fixed, of_page in _COLOURS.items():
        body = re.sub(rf"(fill|stroke): {fixed}\b", rf"\1: {of_page}", body)
    return body.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1).rstrip()


def read_png(path: Path) -> NDArray[np.uint8]:
    """Pixels of a picture, (rows, columns, 3 or 4) uint8."""
    return np.asarray(imagecodecs.png_decode(path.read_bytes()))


def webp_uri(picture: NDArray[np.uint8]) -> str:
    """A picture as the address of an image."""
    return f"data:image/webp;base64,{base64_text(webp(picture, QUALITY))}"


def webp(picture: NDArray[np.uint8], quality: int | None = None) -> bytes:
    """A picture, (rows, columns, 3 or 4), as WebP; without loss where no quality is given."""
    pixels = np.ascontiguousarray(picture)
    return bytes(imagecodecs.webp_encode(pixels, quality, lossless=quality is None, method=METHOD))


def base64_text(data: bytes) -> str:
    """Bytes as ASCII."""
    return base64.b64encode(data).decode("ascii")
