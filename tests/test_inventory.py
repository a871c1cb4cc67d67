"""Files of a stage: what is missing or altered is found."""

from __future__ import annotations

import random

import pytest

from tomostat.inventory import Faults, Inventory


@pytest.fixture
def root(tmp_path):
    """An output folder with a table, a chunk of an array, and a file that somebody's computer left there."""
    for name, content in (("table.csv", b"a,b\n1,2\n"), ("a.zarr/0/c/0/1", bytes(50)), ("a.zarr/.DS_Store", b"x")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def outputs(root):
    return [root / "table.csv", root / "a.zarr", root / "none"]


def test_what_is_as_it_was_has_no_fault(root):
    noted = Inventory.take(root, outputs(root))
    noted.write(root / "note.json")
    again = Inventory.read(root / "note.json")
    assert again == noted
    assert set(again.files) == {"table.csv", "a.zarr/0/c/0/1"}
    assert not again.faults(root)


def test_files_go_to_the_stage_that_writes_them_next(root):
    noted = Inventory.take(root, outputs(root))
    assert set(noted.without(root, [root / "a.zarr"]).files) == {"table.csv"}
    assert noted.without(root, [root / "a", root / "table.csv.gz"]) == noted


def test_missing_and_truncated_files(root):
    noted = Inventory.take(root, outputs(root))
    (root / "table.csv").write_bytes(b"")
    (root / "a.zarr/0/c/0/1").write_bytes(bytes(49))
    assert noted.faults(root) == Faults(missing=("table.csv",), altered=("a.zarr/0/c/0/1",))
    (root / "table.csv").unlink()
    assert noted.faults(root).missing == ("table.csv",)


def test_every_flipped_bit_is_found(root):
    noted, content = Inventory.take(root, outputs(root)), (root / "table.csv").read_bytes()
    for _ in range(50):
        flipped = bytearray(content)
        flipped[random.randrange(len(content))] ^= 1 << random.randrange(8)
        (root / "table.csv").write_bytes(flipped)
        assert noted.faults(root) == Faults(altered=("table.csv",))


@pytest.mark.parametrize("text", ["", "[]", "null", '{"a": 3}', '{"a": [1, "x"]}', '{"a": [1, 2, 3]}'])
def test_a_damaged_note_tells_nothing(tmp_path, text):
    (tmp_path / "note.json").write_text(text)
    assert Inventory.read(tmp_path / "note.json") is None
    assert Inventory.read(tmp_path / "none.json") is None
