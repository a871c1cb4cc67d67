"""Shared fixtures, and how properties are tried."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from properties import DEEP, examples

settings.register_profile("tomostat", examples(100))
settings.load_profile("tomostat")


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of real images beside the checkout; tests that need it skip where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real images are not at {folder}")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave slow tests to `make test-deep`."""
    if not DEEP:
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: `make test-deep` runs it"))
