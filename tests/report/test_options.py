"""Options of the report."""

from __future__ import annotations

import pytest

from tomostat.report import ReportOptions


@pytest.mark.parametrize("name", ["table_rows", "pictured_fields", "gallery"])
def test_refused_options(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        ReportOptions(**{name: -1})
