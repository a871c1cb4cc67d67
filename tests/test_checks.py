"""What a check found is kept until the particles change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tomostat.checks import FieldCheck, lines, read_checks, write_checks


def test_checks_hold_for_the_particles_that_were_checked(tmp_path: Path) -> None:
    path = tmp_path / "checks.json"
    assert read_checks(path, {"a": "1"}) == {}
    found = lines([("label 3 is wrong", (1, 2, 3))])
    write_checks(path, {"a": FieldCheck("1", found), "b": FieldCheck("1", ())})
    assert read_checks(path, {"a": "1", "b": "2"}) == {"a": ("at z y x = 1 2 3: label 3 is wrong",)}


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checks.json"
    path.write_text('{"a": 3}')
    with pytest.raises(ValueError, match="run `tomostat check` again"):
        read_checks(path, {})
