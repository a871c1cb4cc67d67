"""Report: a page that stands alone, says what limits it, and holds for odd studies too."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tables import particle_table, study
from tomostat.analyze import analyze_particles
from tomostat.analyze.options import AnalyzeOptions
from tomostat.execution import Execution
from tomostat.report import charts, write_report
from tomostat.report.fields import view_field
from tomostat.report.kernels import raycast
from tomostat.report.options import ReportOptions
from tomostat.report.pictures import outlines, paint
from tomostat.report.sections import exemplary
from tomostat.report.text import significant
from tomostat.volume import create_volume, pyramid_tasks, update_attributes, write_box

SPACING = (0.5, 0.4, 0.4)
FEW = AnalyzeOptions(resamples=100, border="kept")
BRIEF = ReportOptions(gallery=1, pictured_fields=1)


def balls(shape: tuple[int, int, int], count: int, seed: int) -> np.ndarray:
    """Labels of a row of balls; a single slice gets discs."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint32)
    grid = np.indices(shape).astype(float) * np.array(SPACING)[:, None, None, None]
    size = np.array(shape) * SPACING
    for label in range(1, count + 1):
        centre = (size[0] / 2 if shape[0] > 1 else 0.0, *rng.uniform(0.2, 0.8, 2) * size[1:])
        distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)))
        labels[(distance < rng.uniform(2.0, 3.5)) & (labels == 0)] = label
    return labels


def make_field(
    path: Path, shape: tuple[int, int, int] = (16, 48, 56), count: int = 6, *, seed: int = 0, cbd: bool = True
):
    """A field store with grey values, phases and particles."""
    labels = balls(shape, count, seed)
    phases = np.where(labels > 0, 2, 0).astype(np.uint8)
    if cbd:
        phases[:, ::3][labels[:, ::3] == 0] = 1
    rng = np.random.default_rng(seed)
    grey = (40 + 80 * phases + rng.normal(0, 8, shape)).clip(0, 255).astype(np.uint8)
    for label, array in ((None, grey), ("phases", phases), ("particles", labels)):
        create_volume(path, shape=shape, dtype=array.dtype, spacing=SPACING, label=label)
        write_box(path, (0, 0, 0), array, label)
        for tasks in pyramid_tasks(path, label):
            Execution().run("levels", tasks)
    fit = {"levels": {"pore": 40.0, "cbd": 120.0 if cbd else None, "active": 200.0}, "noise": 8.0, "blur": 1.2}
    update_attributes(path, fit, "phases")
    return labels


def rows_of(labels: np.ndarray, field: str, condition: str, detached: float) -> dict[str, np.ndarray]:
    """Columns of the particles in a label volume."""
    found = np.unique(labels)[1:]
    places = [np.argwhere(labels == label) for label in found]
    volume = np.array([len(place) for place in places]) * np.prod(SPACING)
    count = len(found)
    detachment = np.clip(detached + 0.1 * np.sin(np.arange(count)), 0, 1)
    return {
        "label": found.astype(np.uint32),
        "field": np.full(count, field),
        "sample": np.full(count, f"cell {condition}"),
        "condition": np.full(count, condition),
        "volume": volume,
        "equivalent_diameter": np.cbrt(6 * volume / np.pi),
        "centroid": np.array([place.mean(axis=0) * SPACING for place in places]).reshape(count, 3),
        "detachment": detachment,
        "detachment_std": np.full(count, 0.02),
        "resistance_mean": detachment**2,
        "resistance_std": detachment,
        "relative_intensity": np.full(count, 1.0) + 0.01 * np.arange(count),
        "depth": np.arange(count, dtype=float),
        "fully_detached": np.arange(count) == 0,
        "touches_border": np.zeros(count, bool),
    }


def joined(tables: list[dict[str, np.ndarray]]) -> xr.Dataset:
    return particle_table({key: np.concatenate([table[key] for table in tables]) for key in tables[0]})


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory):
    """A study of two conditions with two fields each, one of them without any particle, and its report."""
    root = tmp_path_factory.mktemp("study")
    tables, fields = [], {}
    for condition, detached in (("0.1C", 0.3), ("<1C> & more", 0.6)):
        for index in range(2):
            name = f"{'slow' if detached < 0.5 else 'fast'}-{index}"
            empty = name == "fast-1"
            fields[name] = root / f"{name}.zarr"
            labels = make_field(fields[name], count=0 if empty else 7, seed=len(fields))
            tables.append(rows_of(labels, name, condition, detached))
    particles = joined(tables)
    results = analyze_particles(particles, options=FEW)
    provenance = {
        "study": {"study": "Slow & fast", "options": {"detect": {"detector": "maskrcnn"}}},
        "seconds": {"ingest": 1.5},
        "warnings": ["the sun was shining"],
    }
    before = dict(mpl.rcParams)
    page = write_report(root / "report", particles, results, fields, provenance=provenance)
    assert dict(mpl.rcParams) == before
    return page, particles, results, fields


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


def test_page_stands_alone(house) -> None:
    page, *_ = house
    html = page.read_text(encoding="utf-8")
    links = Links()
    links.feed(html)
    for link in links.found:
        assert not re.match(r"(https?:)?//", link), link
        if not link.startswith(("#", "data:")):
            assert (page.parent / link).is_file(), link
    assert not re.search(r"@import|url\(|https?://", html)
    assert len(links.images) > 8
    for image in links.images:
        assert len(image["alt"] or "") > 20
    for figure in (page.parent / "figures").glob("*.svg"):
        drawing = figure.read_text(encoding="utf-8")
        assert not re.search(r'(href|src)="(?!#)', drawing)
    shown = {str(image["src"]).removeprefix("figures/") for image in links.images}
    assert shown == {path.name for path in (page.parent / "figures").iterdir()}


def test_page_says_what_was_found_and_what_limits_it(house) -> None:
    html = house[0].read_text(encoding="utf-8")
    assert "<title>Slow &amp; fast</title>" in html
    assert "&lt;1C&gt; &amp; more" in html
    assert "<1C>" not in html.replace("\\u003c1C>", "")
    assert "percentage points more detached" in html
    assert "confounded" in html
    assert "No particle was found in fast-1." in html
    assert "3 particles without any contact" in html
    assert "the sun was shining" in html
    assert "detector: maskrcnn" in html
    assert "ingest: 1.5" in html
    for heading in ("At a glance", "Detachment", "Size", "Fields of view", "Particles in 3D", "Single particles"):
        assert f"<h2>{heading}</h2>" in html


def test_table_and_file(house) -> None:
    page, particles, *_ = house
    html = page.read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="particles-data">(.*?)</script>', html, re.S).group(1))  # type: ignore[union-attr]
    assert len(data["rows"]) == particles.sizes["particle"]
    assert len(data["columns"]) == len(data["rows"][0])
    assert data["rows"][0][0] == "slow-0"
    table = pd.read_csv(page.parent / "particles.csv")
    assert len(table) == particles.sizes["particle"]
    assert {"label", "field", "detachment", "centroid_z", "centroid_y", "centroid_x"} <= set(table.columns)
    np.testing.assert_allclose(table["centroid_x"], particles["centroid"].sel(axis="x"))


def test_equal_input_gives_an_equal_report(house, tmp_path: Path) -> None:
    _, particles, results, fields = house
    pages = [write_report(tmp_path / name, particles, results, fields, options=BRIEF) for name in "ab"]
    files = [
        sorted(path.relative_to(page.parent) for path in page.parent.rglob("*") if path.is_file()) for page in pages
    ]
    assert files[0] == files[1]
    for file in files[0]:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_report_replaces_an_older_one(house, tmp_path: Path) -> None:
    _, particles, results, fields = house
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "old.txt").touch()
    options = ReportOptions(title="Other <title>", gallery=0, pictured_fields=0, table_rows=3)
    page = write_report(tmp_path / "report", particles, results, fields, options=options)
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert not (tmp_path / "report" / "old.txt").exists()
    html = page.read_text(encoding="utf-8")
    assert "Other &lt;title&gt;" in html
    assert "The first 3 of" in html
    assert "Single particles" not in html


def test_nothing_is_written_when_a_volume_is_missing(house, tmp_path: Path) -> None:
    _, particles, results, _ = house
    with pytest.raises(FileNotFoundError, match="no volume at"):
        write_report(tmp_path / "report", particles, results, {"a": tmp_path / "none.zarr"})
    assert not list(tmp_path.iterdir())


def test_empty_study(tmp_path: Path) -> None:
    labels = make_field(tmp_path / "a.zarr", count=0)
    particles = joined([rows_of(labels, "a", "1C", 0.5)])
    page = write_report(tmp_path / "report", particles, analyze_particles(particles), {"a": tmp_path / "a.zarr"})
    html = page.read_text(encoding="utf-8")
    assert "No particle was found." in html
    assert "No particle was found in a." in html
    assert "field-a.png" in html
    assert len(pd.read_csv(page.parent / "particles.csv")) == 0


def test_no_field_at_all(tmp_path: Path) -> None:
    particles = study(particles=6)
    page = write_report(tmp_path / "report", particles, analyze_particles(particles, options=FEW), {})
    assert "percentage points" in page.read_text(encoding="utf-8")


def test_one_slice_of_two_phases(tmp_path: Path) -> None:
    labels = make_field(tmp_path / "a.zarr", (1, 48, 56), cbd=False)
    rows = rows_of(labels, "a", "unknown", 0.5)
    for name in ("detachment", "resistance_mean", "resistance_std", "depth"):
        rows[name] = np.full(len(rows["label"]), np.nan)
    particles = joined([rows])
    page = write_report(tmp_path / "report", particles, analyze_particles(particles), {"a": tmp_path / "a.zarr"})
    html = page.read_text(encoding="utf-8")
    assert "could not be measured" in html
    assert "A single slice (a)" in html
    assert "Two phases only (a)" in html
    assert "Distribution of the degree of detachment" not in html
    assert "Particles in 3D" not in html
    assert "nan" not in re.sub(r"<style>.*?</style>|<script.*?</script>|<pre>.*?</pre>", "", html, flags=re.S).lower()


# --- pieces


def test_view_reads_what_it_says(house) -> None:
    _, _, _, fields = house
    view = view_field("slow-0", fields["slow-0"])
    section = view.section(0)
    assert section.grey.shape == (48, 56)
    assert section.axes == ("y", "x")
    assert section.pixel == SPACING[1:]
    assert 4 * SPACING[0] <= section.place < 12 * SPACING[0]
    across = view.section(1)
    assert across.grey.shape == (16, 56)
    assert across.axes == ("z", "x")
    assert sum(view.fractions.values()) == pytest.approx(1)
    grey, labels = view.cut(np.array([4.0, 1.0, 8.0]), 2.0)
    assert grey.shape == labels.shape == (9, 9, 11)  # cut at y = 0


def test_outlines_lie_around_their_labels() -> None:
    labels = np.zeros((30, 40), int)
    labels[5:15, 10:30] = 3
    lines, owners = outlines(labels, (-1.0, 79.0, 59.0, -1.0))
    assert owners == [3]
    assert lines[0].min(axis=0) == pytest.approx([19, 9], abs=0.1)
    assert lines[0].max(axis=0) == pytest.approx([59, 29], abs=0.1)


def test_paint_by_detachment_or_label() -> None:
    labels = np.array([0, 1, 2, 5])
    by_degree = paint(labels, {1: 0.0, 2: 1.0, 5: np.nan})
    assert by_degree.shape == (6, 4)
    assert len({tuple(by_degree[i]) for i in (1, 2, 5)}) == 3
    by_label = paint(labels, {1: np.nan})
    assert len({tuple(by_label[i]) for i in (1, 2, 5)}) == 3


def test_rays_see_a_ball_as_a_disc() -> None:
    """Area on screen, depth and normals of a ball, for unequal voxels."""
    spacing, radius = (0.5, 0.4, 0.3), 4.0
    shape = tuple(int(12 / s) for s in spacing)
    grid = np.indices(shape) * np.array(spacing)[:, None, None, None]
    labels = (((grid - 6.0) ** 2).sum(axis=0) < radius**2).astype(np.uint32)
    picture, extent = raycast.render(labels, spacing, np.array([[0, 0, 0], [1.0, 0.5, 0.2]]), 300)
    pixel = (extent[1] - extent[0]) / 300
    assert picture[..., 3].sum() * pixel**2 == pytest.approx(np.pi * radius**2, rel=0.02)
    rows, columns = np.nonzero(picture[..., 3])
    up, right, _ = raycast.project(np.full(3, 6.0))
    assert extent[0] + (columns.mean() + 0.5) * pixel == pytest.approx(right, abs=0.1)
    assert extent[3] - (rows.mean() + 0.5) * pixel == pytest.approx(up, abs=0.1)
    assert picture.min() >= 0
    assert picture.max() <= 1


def test_nearer_ball_hides_the_other() -> None:
    labels = np.zeros((20, 20, 20), np.uint32)
    towards = raycast.view()[2]
    grid = np.indices(labels.shape)
    for label, place in ((1, 10 - 5 * towards), (2, 10 + 5 * towards)):
        labels[((grid - place[:, None, None, None]) ** 2).sum(axis=0) < 9] = label
    picture, _ = raycast.render(labels, (1.0, 1.0, 1.0), np.array([[0.0] * 3, [1, 0, 0], [0, 1, 0]]), 200)
    seen = picture[picture[..., 3] > 0]
    assert (seen[:, 1] > seen[:, 0]).mean() > 0.95


def test_empty_scene_is_transparent() -> None:
    picture, _ = raycast.render(np.zeros((4, 5, 6), np.uint32), (1.0, 1.0, 1.0), np.zeros((1, 3)), 50)
    assert not picture[..., 3].any()


def test_resistance_of_a_round_gap() -> None:
    """Closed form against numbers: a ball's surface in rings."""
    degree, mean, spread = charts.cap_resistance()
    angle = (np.arange(20000) + 0.5) * np.pi / 20000
    area = np.sin(angle) / np.sin(angle).sum()
    for place in (10, 50, 99):
        edge = np.arccos(1 - 2 * degree[place])
        path = np.maximum(edge - angle, 0)
        expected = (area * path).sum()
        assert mean[place] == pytest.approx(expected, rel=1e-3)
        assert spread[place] == pytest.approx(np.sqrt((area * (path - expected) ** 2).sum()), rel=1e-3)


def test_exemplary_particles_are_different_and_whole() -> None:
    table = study(particles=15)
    groups = exemplary(table, set(table["field"].values), 4)
    rows = [row for _, group in groups for row in group]
    assert [heading for heading, _ in groups] == ["Least detached", "Typical", "Most detached"]
    assert len(set(rows)) == 12
    assert not table["touches_border"].values[rows].any()
    means = [table["detachment"].values[group].mean() for _, group in groups]
    assert means == sorted(means)
    assert exemplary(table, set(), 4) == []
    few = table.isel(particle=np.flatnonzero(~table["touches_border"].values)[:2])
    assert len(exemplary(few, set(table["field"].values), 4)) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.5, "1234"), (0.01234, "0.0123"), (1.0, "1.00"), (0.0, "0"), (np.nan, "\u2013"), (None, "\u2013")],
)
def test_significant_digits(value: float | None, text: str) -> None:
    assert significant(value) == text


@pytest.mark.parametrize("name", ["table_rows", "pictured_fields", "gallery"])
def test_refused_options(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        ReportOptions(**{name: -1})


# --- in a browser

PROBE = """
<script>
const errors = [];
addEventListener("error", (event) => errors.push(String(event.message || event.target.src)), true);
addEventListener("securitypolicyviolation", (event) => errors.push(event.blockedURI));
addEventListener("load", () => {
  const rows = () => document.querySelectorAll("#particles-table tbody tr");
  const cell = (i) => [...rows()].map((row) => row.cells[i].textContent);
  const all = rows().length;
  const heads = [...document.querySelectorAll("#particles-table th")];
  const volume = heads.findIndex((head) => head.textContent.startsWith("volume"));
  heads[volume].querySelector("button").click();
  const sorted = cell(volume);
  const filter = document.getElementById("particles-filter");
  filter.value = "slow-1";
  filter.dispatchEvent(new Event("input"));
  document.body.dataset.probe = JSON.stringify({
    errors, all, sorted, filtered: rows().length,
    loaded: performance.getEntriesByType("resource").map((entry) => entry.name),
    broken: [...document.images].filter((image) => !image.naturalWidth).map((image) => image.src),
    wide: document.documentElement.scrollWidth > innerWidth,
  });
});
</script>
"""


@pytest.mark.parametrize("width", [1240, 500])
def test_page_in_a_browser(house, tmp_path: Path, width: int) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no chromium: the page was not opened in a browser")
    page, particles, *_ = house
    shutil.copytree(page.parent, tmp_path / "report")
    probed = tmp_path / "report" / "probed.html"
    probed.write_text(page.read_text(encoding="utf-8").replace("<head>", f"<head>{PROBE}"), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    flags += ["--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900"]
    flags += ["--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom"]
    run = subprocess.run([browser, *flags, probed.as_uri()], capture_output=True, text=True, timeout=100, check=False)
    assert "CONSOLE" not in run.stderr, run.stderr
    found = json.loads(re.search(r'data-probe="(.*?)"', run.stdout).group(1).replace("&quot;", '"'))  # type: ignore[union-attr]
    assert found["errors"] == []
    assert found["broken"] == []
    assert not found["wide"]
    assert all(name.startswith("file://") for name in found["loaded"])
    assert found["all"] == particles.sizes["particle"]
    volumes = [float(value) for value in found["sorted"]]
    assert volumes == sorted(volumes, reverse=True)
    assert found["filtered"] == int((particles["field"] == "slow-1").sum())
