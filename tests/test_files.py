"""Atomic writes: a file or folder is whole or not there at all, and nothing is left beside it."""

from __future__ import annotations

import threading

import pytest

from tomostat.files import atomic, read_yaml, remove, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def make_folder(path, text):
    path.mkdir()
    (path / "a.txt").write_text(text)
    (path / "sub").mkdir()
    (path / "sub" / "b.txt").write_text(text)


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    with atomic(path) as part:
        part.write_text("half")
        assert not path.exists()
        assert part.parent == path.parent, "renaming works within one file system only"
        part.write_text("whole")
    assert path.read_text() == "whole"
    assert names(path.parent) == ["a.txt"]


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("before", [None, "a file", "a folder"])
def test_a_folder_appears_and_replaces(tmp_path, before):
    path = tmp_path / "a.zarr"
    if before == "a file":
        path.write_text("old")
    elif before:
        make_folder(path, "old")
        (path / "only_before.txt").write_text("old")
    with atomic(path) as part:
        make_folder(part, "new")
    assert names(path) == ["a.txt", "sub"]
    assert (path / "sub" / "b.txt").read_text() == "new"
    assert names(tmp_path) == ["a.zarr"]


def test_a_file_replaces_a_folder(tmp_path):
    make_folder(tmp_path / "a", "old")
    write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
@pytest.mark.parametrize("folder", [False, True])
def test_after_an_error_all_is_as_before(tmp_path, error, folder):
    path = tmp_path / "a"
    write = make_folder if folder else lambda path, text: path.write_text(text)
    write(path, "old")

    def fail_half_way():
        with atomic(path) as part:
            write(part, "half")
            raise error

    with pytest.raises(type(error)):
        fail_half_way()
    assert names(tmp_path) == ["a"]
    assert (path / "a.txt" if folder else path).read_text() == "old"


def test_nothing_written_is_an_error(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), atomic(path):
        pass
    assert path.read_text() == "old"
    make_folder(tmp_path / "b", "old")
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "b"):
        pass
    assert (tmp_path / "b" / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt", "b"]


def test_many_writers_of_one_file(tmp_path):
    """The file is always one of those written, never a mixture; the last one stays."""
    path, texts = tmp_path / "a.txt", [str(n) * 20_000 for n in range(8)]
    write_text(path, texts[0])
    threads = [threading.Thread(target=write_text, args=(path, text)) for text in texts for _ in range(5)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert path.read_text() in texts
    assert path.read_text() in texts
    assert names(tmp_path) == ["a.txt"]


def test_text_is_utf_8(tmp_path):
    write_text(tmp_path / "a.txt", "25 µm")
    assert (tmp_path / "a.txt").read_bytes() == b"25 \xc2\xb5m"


def test_remove(tmp_path):
    make_folder(tmp_path / "folder", "x")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    remove(tmp_path / "link")
    assert (tmp_path / "folder" / "a.txt").exists(), "the target of a link is kept"
    remove(tmp_path / "folder" / "a.txt")
    remove(tmp_path / "folder")
    remove(tmp_path / "folder")
    assert names(tmp_path) == []


def test_yaml_as_version_1_2_defines_it(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: [no, 12:30, 24:00:00, 010, 2026-01-02]\nb: [true, 12, -1.5, 1e-9, 2., .inf, ~, '5']\nc:\n")
    found = read_yaml(path)
    assert found["a"] == ["no", "12:30", "24:00:00", "010", "2026-01-02"]
    assert found["b"] == [True, 12, -1.5, 1e-9, 2.0, float("inf"), None, "5"]
    assert found["c"] is None
    path.write_text("name: 010\nin: {name: 1e3, other: 1e3}\nempty: {name: }\n")
    assert read_yaml(path, text=["name"]) == {
        "name": "010",
        "in": {"name": "1e3", "other": 1e3},
        "empty": {"name": None},
    }


def test_yaml_that_refers_to_itself_or_to_much(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: &a [*a]\n")
    itself = read_yaml(path)["a"]
    assert itself[0] is itself
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 40)]
    path.write_text("\n".join(lines))
    assert len(read_yaml(path, text=["name"])) == 40


@pytest.mark.parametrize("content", [b"a: [", b"a: !!python/object:os.system x", b"\xff\xfe\x00", b"[" * 5000])
def test_what_is_no_yaml(tmp_path, content):
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.yaml is not YAML"):
        read_yaml(tmp_path / "a.yaml")
