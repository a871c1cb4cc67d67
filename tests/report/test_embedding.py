"""Drawings and pictures inside the page."""

from __future__ import annotations

import imagecodecs
import numpy as np

from tomostat.report.embedding import inline_svg, webp
from tomostat.report.style import INK


def test_a_drawing_takes_the_colours_of_the_page_and_keeps_its_ids_apart() -> None:
    drawing = (
        f'<?xml version="1.0"?>\n<svg width="1"><g id="a" clip-path="url(#b)" style="fill: {INK}; stroke: #ffffff">'
        '<use href="#c"/></g></svg>'
    )
    found = inline_svg(drawing, "one", 'said "so"')
    assert found.startswith('<svg role="img" aria-label="said &quot;so&quot;" width="1">')
    assert 'id="one-a"' in found
    assert "url(#one-b)" in found
    assert 'href="#one-c"' in found
    assert "fill: var(--ink); stroke: var(--page)" in found


def test_codes_survive_and_pictures_are_small() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 40, (24, 72, 3)).astype(np.uint8)
    np.testing.assert_array_equal(imagecodecs.webp_decode(webp(codes)), codes)
    assert len(webp(codes, 40)) < len(webp(codes)) / 3
