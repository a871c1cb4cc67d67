from __future__ import annotations

import json

import pytest

from tomostat.manifest import Content, Layout, Manifest, fingerprint, stage_key


def test_markers_survive_an_interruption_and_nothing_else(tmp_path):
    layout = Layout(tmp_path / "out")
    manifest = Manifest(layout, "demo")
    markers = manifest.begin("a", "phases", "key", {})
    markers.mkdir(parents=True)
    (markers / "0.json").write_text("null")
    again = Manifest(layout, "demo")
    assert again.key("a", "phases") is None  # begun, not finished
    assert list(again.begin("a", "phases", "key", {}).iterdir()) == [markers / "0.json"]
    assert not again.begin("a", "phases", "other key", {}).exists()


def test_a_finished_stage_is_known_to_the_next_run(tmp_path):
    layout = Layout(tmp_path / "out")
    manifest = Manifest(layout, "demo")
    manifest.begin("a", "phases", "key", {"smoothing": 1.0})
    manifest.finish("a", "phases", 1.5)
    again = Manifest(layout, "demo")
    assert again.key("a", "phases") == "key"
    assert again.record("a", "phases").options == {"smoothing": 1.0}
    assert Content.read(layout.root).seconds() == {"phases": 1.5}


def test_a_folder_of_another_study_is_refused_and_left_alone(tmp_path):
    layout = Layout(tmp_path / "out")
    Manifest(layout, "demo")
    before = layout.manifest.read_bytes()
    with pytest.raises(ValueError, match="holds the study 'demo', not 'other'"):
        Manifest(layout, "other")
    assert layout.manifest.read_bytes() == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("chapter 1")
    with pytest.raises(ValueError, match="is not empty"):
        Manifest(Layout(tmp_path), "demo")
    with pytest.raises(ValueError, match="is a file"):
        Manifest(Layout(tmp_path / "thesis.tex"), "demo")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    "text", ["{", "[]", "null", json.dumps({"stages": {}}), json.dumps({"study": "a", "stages": {"a/b": 3}})]
)
def test_a_damaged_manifest_is_named(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"manifest\.json is damaged"):
        Manifest(Layout(tmp_path), "demo")


def test_a_key_changes_with_version_options_and_inputs_only():
    key = stage_key("phases", 1, {"smoothing": 1.0, "phases": 3}, ["upstream"])
    assert key == stage_key("phases", 1, {"phases": 3, "smoothing": 1.0}, ["upstream"])
    assert key != stage_key("phases", 2, {"phases": 3, "smoothing": 1.0}, ["upstream"])
    assert key != stage_key("phases", 1, {"phases": 2, "smoothing": 1.0}, ["upstream"])
    assert key != stage_key("phases", 1, {"phases": 3, "smoothing": 1.0}, ["other"])
    assert key != stage_key("detect", 1, {"phases": 3, "smoothing": 1.0}, ["upstream"])


def test_a_fingerprint_tells_a_changed_file(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"1")
    first = fingerprint(tmp_path)
    assert first == fingerprint(tmp_path)
    (tmp_path / "b.tif").write_bytes(b"2")
    second = fingerprint(tmp_path)
    assert second != first
    (tmp_path / "b.tif").write_bytes(b"22")
    assert fingerprint(tmp_path) != second
    assert fingerprint(tmp_path / "b.tif") != fingerprint(tmp_path / "a.tif")
