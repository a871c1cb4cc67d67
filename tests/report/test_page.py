"""A page that stands alone, says what limits it, and holds for odd studies too."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from browsers import opened
from reports import FEW, Written, columns_of, joined_table, make_field
from studies import BRIEF
from tables import study
from tomostat.analyze import analyze_particles
from tomostat.report import ReportOptions, write_report
from tomostat.report.embedding import asset

LIBRARY = asset("vendor/plotly-gl3d.min.js")


class Links(HTMLParser):
    """Everything that a page loads or points to, and alternative texts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.images: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.found += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "poster") and value]
        if tag == "img":
            self.images.append(values)


def test_page_stands_alone(written: Written) -> None:
    page = written.page
    html = page.read_text(encoding="utf-8")
    links = Links()
    assert LIBRARY in html
    html = html.replace(LIBRARY, "")
    links.feed(html)
    for link in links.found:
        assert not re.match(r"(https?:)?//", link), link
        if not link.startswith(("#", "data:")):
            assert (page.parent / link).is_file(), link
    assert not re.search(r"@import|url\((?!#)|https?://(?!www.w3.org/)", html)
    named = re.findall(r'<svg role="img" aria-label="([^"]*)"', html) + [image["alt"] or "" for image in links.images]
    assert len(named) > 8
    assert all(len(text) > 20 for text in named)
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    for figure in (page.parent / "figures").glob("*.svg"):
        drawing = figure.read_text(encoding="utf-8")
        assert not re.search(r'(href|src)="(?!#|data:)', drawing)
        assert "mathdefault" not in drawing, "signs of mathematics are text"
    linked = {link.removeprefix("figures/") for link in links.found if link.startswith("figures/")}
    assert linked == {path.name for path in (page.parent / "figures").iterdir()}
    assert {Path(name).suffix for name in linked} == {".svg", ".png", ".csv"}


def test_page_says_what_was_found_and_what_limits_it(written: Written) -> None:
    html = written.page.read_text(encoding="utf-8").replace(LIBRARY, "")
    assert "<title>Slow &amp; fast</title>" in html
    assert "&lt;1C&gt; &amp; more" in html
    assert "<1C>" not in html.replace("\\u003c1C>", "")
    assert "percentage points more detached" in html
    assert "confounded" in html
    assert "No particle was found in fast-1." in html
    assert "3 particles without any contact" in html
    assert "Phases of slow-0, slow-1, fast-0, fast-1: no current collector: it was too dark." in html
    assert "detector: maskrcnn" in html
    assert "ingest: 1.5" in html
    for heading in ("At a glance", "Detachment", "Size", "Fields of view", "Particles in 3D", "Single particles"):
        assert f"<h2>{heading}</h2>" in html


def test_table_and_file(written: Written) -> None:
    page, particles = written.page, written.particles
    html = page.read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="particles-data">(.*?)</script>', html, re.S).group(1))  # type: ignore[union-attr]
    columns = {column["name"]: values for column, values in zip(data["columns"], data["values"], strict=True)}
    assert {len(values) for values in columns.values()} == {particles.sizes["particle"]}
    assert columns["field"][0] == "slow-0"
    table = pd.read_csv(page.parent / "particles.csv")
    assert len(table) == particles.sizes["particle"]
    assert {"label", "field", "detachment", "centroid_z", "centroid_y", "centroid_x"} <= set(table.columns)
    np.testing.assert_allclose(table["centroid_x"], particles["centroid"].sel(axis="x"))


@pytest.mark.slow
def test_equal_input_gives_an_equal_report(written: Written, tmp_path: Path) -> None:
    particles, results = written.particles, written.results
    fields = {"slow-0": written.fields["slow-0"]}
    pages = [write_report(tmp_path / name, particles, results, fields, options=BRIEF) for name in "ab"]
    files = [
        sorted(path.relative_to(page.parent) for path in page.parent.rglob("*") if path.is_file()) for page in pages
    ]
    assert files[0] == files[1]
    for file in files[0]:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


@pytest.mark.slow
def test_report_replaces_an_older_one(written: Written, tmp_path: Path) -> None:
    particles, results = written.particles, written.results
    fields = {"slow-0": written.fields["slow-0"]}
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "old.txt").touch()
    options = ReportOptions(title="Other <title>", gallery=0, pictured_fields=0, table_rows=3)
    styles = dict(mpl.rcParams)
    page = write_report(tmp_path / "report", particles, results, fields, options=options)
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert not (tmp_path / "report" / "old.txt").exists()
    assert dict(mpl.rcParams) == styles, "styles of the caller stay"
    html = page.read_text(encoding="utf-8")
    assert "Other &lt;title&gt;" in html
    assert '"rows":3' in html
    assert "Single particles" not in html


def test_nothing_is_written_when_a_volume_is_missing(written: Written, tmp_path: Path) -> None:
    particles, results = written.particles, written.results
    with pytest.raises(FileNotFoundError, match="no volume at"):
        write_report(tmp_path / "report", particles, results, {"a": tmp_path / "none.zarr"})
    assert not list(tmp_path.iterdir())


def page_of(particles: xr.Dataset, folder: Path) -> Path:
    """The page of particles of the field ``a.zarr`` in a folder."""
    results = analyze_particles(particles, options=FEW)
    return write_report(folder / "report", particles, results, {"a": folder / "a.zarr"}, options=BRIEF)


def test_empty_study(tmp_path: Path) -> None:
    labels = make_field(tmp_path / "a.zarr", count=0)
    page = page_of(joined_table([columns_of(labels, "a", "1C", 0.5)]), tmp_path)
    html = page.read_text(encoding="utf-8")
    assert "No particle was found." in html
    assert "No particle was found in a." in html
    assert "field-a.png" in html
    assert len(pd.read_csv(page.parent / "particles.csv")) == 0


@pytest.mark.slow
def test_no_field_at_all(tmp_path: Path) -> None:
    particles = study(particles=6)
    page = write_report(tmp_path / "report", particles, analyze_particles(particles, options=FEW), {})
    assert "percentage points" in page.read_text(encoding="utf-8")


def test_one_slice_of_two_phases(tmp_path: Path) -> None:
    labels = make_field(tmp_path / "a.zarr", (1, 48, 56), cbd=False)
    rows = columns_of(labels, "a", "unknown", 0.5)
    for name in ("detachment", "resistance_mean", "resistance_std", "depth"):
        rows[name] = np.full(len(rows["label"]), np.nan)
    page = page_of(joined_table([rows]), tmp_path)
    html = page.read_text(encoding="utf-8")
    assert "could not be measured" in html
    assert "A single slice (a)" in html
    assert "Two phases only (a)" in html
    assert "Distribution of the degree of detachment" not in html
    assert "Particles in 3D" not in html
    html = re.sub(r"base64,[^\"]*", "", html.replace(LIBRARY, ""))
    assert "nan" not in re.sub(r"<style>.*?</style>|<script.*?</script>|<pre>.*?</pre>", "", html, flags=re.S).lower()


@pytest.mark.parametrize(("width", "dark"), [(1240, False), pytest.param(420, True, marks=pytest.mark.slow)])
def test_page_in_a_browser(written: Written, width: int, dark: bool) -> None:
    with opened(written.page, width=width, dark=dark) as browser:
        assert not browser.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert browser.page.locator("#table tbody tr").count() == written.particles.sizes["particle"]
        assert browser.page.inner_text("#theme") == ("Light" if dark else "Dark")
        assert browser.complaints == []
