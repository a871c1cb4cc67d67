"""A page in headless Chromium, for tests; they skip where Playwright or Chromium is absent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    "--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
]  # fmt: skip


@dataclass
class Opened:
    """A page in a browser.

    Attributes
    ----------
    page
        The page, as Playwright has it.
    complaints
        Errors of the page and of its console, and addresses that it asks for.
    """

    page: Any
    complaints: list[str] = field(default_factory=list)


@contextmanager
def opened(path: Path, *, dark: bool = False, width: int = 1240) -> Iterator[Opened]:
    """Open a file in Chromium."""
    sync = pytest.importorskip("playwright.sync_api", reason="no playwright: the page was not opened in a browser")
    browser_path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser_path is None:
        pytest.skip("no chromium: the page was not opened in a browser")
    with sync.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_path, args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
            found = Opened(page)
            page.on("console", lambda message: message.type == "error" and found.complaints.append(message.text))
            page.on("pageerror", lambda error: found.complaints.append(str(error)))
            page.on("request", lambda request: _note(found, request.url, path.as_uri()))
            page.goto(path.as_uri())
            yield found
        finally:
            browser.close()


def _note(found: Opened, url: str, own: str) -> None:
    if url != own and not url.startswith(("data:", "blob:")):
        found.complaints.append(f"request: {url}")
