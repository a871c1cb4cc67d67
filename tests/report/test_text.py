"""Numbers in words."""

from __future__ import annotations

import numpy as np
import pytest

from tomostat.report.text import between, number, significant, unit_text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.5, "1234"), (0.01234, "0.0123"), (1.0, "1.00"), (0.0, "0"), (np.nan, "\u2013"), (None, "\u2013")],
)
def test_significant_digits(value: float | None, text: str) -> None:
    assert significant(value) == text


def test_rounded_to_zero_has_no_sign() -> None:
    assert number(-0.04, 1) == "0.0"
    assert between([-0.0004, 0.2]) == "[0, 20]"


@pytest.mark.parametrize(
    ("units", "text"),
    [("1", ""), ("", ""), ("micrometer", "µm"), ("micrometer^3", "µm³"), ("angstrom^-3", "1/Å³")],
)
def test_units_in_usual_notation(units: str, text: str) -> None:
    assert unit_text(units) == text
