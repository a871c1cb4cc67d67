"""Size of a report of 3000 particles, and how soon it answers in a browser.

``python -m benchmarks.bench_report`` makes five fields of 600 particles, runs all stages on their labels, and opens the
report in headless Chromium (Playwright's Python package and a Chromium on the path are needed).
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import yaml
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.report import Result, print_results
from tomostat import pipeline
from tomostat.cluster import open_cluster
from tomostat.execution import Execution
from tomostat.study import load_study

CELL, GRID, FIELDS = 24, (6, 10, 10), 5
"""Voxels of a cell that holds one particle, cells of a field, and fields."""

PORE, BINDER, ACTIVE = 40.0, 90.0, 220.0

FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]  # fmt: skip
"""Of Chromium; WebGL in software."""


def field_of_balls(seed: int, detached: float) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Labels and grey values of balls in carbon-binder, each with a gap over a cap."""
    rng = np.random.default_rng(seed)
    shape = tuple(CELL * n for n in GRID)
    labels, grey = np.zeros(shape, np.uint16), np.full(shape, BINDER, np.float32)
    offsets = np.indices((CELL,) * 3).astype(np.float32) - (CELL - 1) / 2
    for label, cell in enumerate(np.ndindex(*GRID), start=1):
        box = tuple(slice(CELL * i, CELL * (i + 1)) for i in cell)
        radius, axis = rng.uniform(6, 9), rng.standard_normal(3)
        distance = np.sqrt((offsets**2).sum(axis=0))
        height = np.tensordot(axis / np.linalg.norm(axis), offsets, 1)
        cap = height > (1 - 2 * np.clip(rng.normal(detached, 0.1), 0.02, 0.98)) * distance
        grey[box][(distance <= radius + 3) & cap] = PORE
        labels[box][distance <= radius] = label
        grey[box][distance <= radius] = ACTIVE
    grey = ndimage.gaussian_filter(grey, 1.0) + rng.normal(0, 8, shape)
    return labels, np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def write_study(folder: Path) -> Path:
    """A study of two conditions with all fields; their labels are given."""
    samples: dict[str, Any] = {}
    for index in range(FIELDS):
        condition = ("0.1C", "1C")[index % 2]
        labels, grey = field_of_balls(index, 0.3 + 0.2 * (index % 2))
        for name, image in (("labels", labels), ("grey", grey)):
            tifffile.imwrite(folder / f"{name}-{index}.tif", image)
        field = {"name": f"field-{index}", "path": f"grey-{index}.tif", "labels": f"labels-{index}.tif", "spacing": 0.2}
        sample = samples.setdefault(condition, {"name": condition, "condition": condition, "fields": []})
        sample["fields"].append(field)
    study = {"study": "report", "output": str(folder / "out"), "samples": list(samples.values())}
    (folder / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    return folder / "study.yaml"


def results() -> Iterator[Result]:
    """The size of the page, and its times."""
    with tempfile.TemporaryDirectory() as scratch:
        study = load_study(write_study(Path(scratch)))
        with open_cluster("local") as client:
            pipeline.run(study, execution=Execution(client=client))
        page = Path(scratch) / "out" / "report" / "index.html"
        yield Result("particles", FIELDS * float(np.prod(GRID)), 3000, ">=")
        yield Result("index.html", page.stat().st_size / 1e6, 30, "<=", "MB")
        yield from in_browser(page)


def in_browser(page_file: Path) -> Iterator[Result]:
    """Seconds until the page is there, until a click on a point has shown its particle, and for a further click."""
    from playwright.sync_api import sync_playwright

    browser_path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1240, "height": 900})
        complaints: list[str] = []
        page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        start = time.perf_counter()
        page.goto(page_file.as_uri())
        loaded = time.perf_counter()
        page.locator("#explore").scroll_into_view_if_needed()
        page.wait_for_selector(".plot .scatterlayer .point", timeout=60000)
        page.wait_for_selector("#particle h3:not(:empty)", timeout=60000)
        interactive = time.perf_counter()
        clicks = [_click(page, index) for index in (10, 200)]
        page.wait_for_selector("#particle .solid canvas", timeout=60000)
        solid = time.perf_counter()
        yield Result("page is there", loaded - start, None, "<=", "s")
        yield Result("plots and a particle are there", interactive - start, 3, "<=", "s")
        yield Result("a click shows its particle, slower of two", max(clicks), 1, "<=", "s")
        yield Result("its surface turns (WebGL in software)", solid - start, None, "<=", "s")
        yield Result("complaints of the browser", len(complaints), 0, "==")
        browser.close()


def _click(page: Any, index: int) -> float:
    """Seconds until a click on a point shows another particle."""
    before = page.inner_text("#particle h3")
    box = page.locator(".plot").first.locator(".scatterlayer .point").nth(index).bounding_box()
    start = time.perf_counter()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function("before => document.querySelector('#particle h3').innerText !== before", arg=before)
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    print_results("page", list(results()))


if __name__ == "__main__":
    main()
