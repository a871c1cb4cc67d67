"""A report for the tests of this folder."""

from __future__ import annotations

import pytest

from reports import Written, write_example


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A report of two conditions with two fields each, one of them without any particle."""
    return write_example(tmp_path_factory.mktemp("study"))
