from __future__ import annotations

import json

import pytest

from tomostat.layout import Layout
from tomostat.manifest import Content, Manifest, fingerprint, stage_key

RECORD = {"key": "k", "options": {}, "started": "2026-11-26"}


def created(layout: Layout, study: str = "demo") -> Manifest:
    """The manifest of an output folder that is there."""
    manifest = Manifest(layout, study)
    manifest.create()
    return manifest


def test_markers_survive_an_interruption_and_nothing_else(tmp_path):
    layout = Layout(tmp_path / "out")
    manifest = created(layout)
    markers = manifest.begin("a", "phases", "key", {})
    markers.mkdir(parents=True)
    (markers / "work.jsonl").touch()
    again = Manifest(layout, "demo")
    assert again.key("a", "phases") is None  # begun, not finished
    assert list(again.begin("a", "phases", "key", {}).iterdir()) == [markers / "work.jsonl"]
    assert not again.begin("a", "phases", "other key", {}).exists()


def test_a_finished_stage_is_known_to_the_next_run(tmp_path):
    layout = Layout(tmp_path / "out")
    manifest = created(layout)
    manifest.begin("a", "phases", "key", {"smoothing": 1.0})
    manifest.finish("a", "phases", 1.5)
    again = Manifest(layout, "demo")
    assert again.key("a", "phases") == "key"
    assert again.record("a", "phases").options == {"smoothing": 1.0}
    assert Content.read(layout.root).seconds() == {"phases": 1.5}


def test_looking_at_a_folder_writes_nothing(tmp_path):
    Manifest(Layout(tmp_path / "out"), "demo")
    assert not list(tmp_path.iterdir())


def test_a_stage_that_begins_makes_stale_what_depends_on_it(tmp_path):
    layout = Layout(tmp_path / "out")
    manifest = created(layout)
    for stage in ("phases", "detect"):
        manifest.begin("a", stage, "key", {"x": 1})
        manifest.finish("a", stage, 1.5)
    manifest.begin("a", "phases", "other", {}, dependent=[("a", "detect"), ("a", "stitch")])
    again = Manifest(layout, "demo")
    assert again.key("a", "detect") is None
    assert again.record("a", "detect").options == {"x": 1}
    assert again.record("a", "stitch") is None


def test_a_file_is_that_of_the_stage_that_wrote_it_last(tmp_path):
    layout = Layout(tmp_path / "out")
    manifest, shared, own = created(layout), layout.root / "shared", layout.root / "own"
    manifest.begin("a", "ingest", "key", {})
    shared.write_text("1")
    own.write_text("1")
    assert manifest.unknown("a", [shared]) == []  # as in a folder of an earlier version
    manifest.finish("a", "ingest", 1.5, [shared, own])
    manifest.begin("a", "measure", "key", {}, outputs=[shared])
    shared.write_text("2")
    assert not manifest.faults("a", "ingest")  # whether measure is finished or killed
    manifest.finish("a", "measure", 1.5, [shared])
    (layout.root / "more").write_text("3")
    assert manifest.unknown("a", [shared, own, layout.root / "more"]) == ["more"]
    own.write_text("2")
    assert manifest.faults("a", "ingest").altered == ("own",)
    shared.unlink()
    assert manifest.faults("a", "measure").missing == ("shared",)


def test_records_of_earlier_versions_are_read(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"study": "demo", "stages": {"a/phases": RECORD}}))
    assert Manifest(Layout(tmp_path), "demo").record("a", "phases").version == 0


def test_a_folder_of_another_study_is_refused_and_left_alone(tmp_path):
    layout = Layout(tmp_path / "out")
    created(layout)
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
    "text",
    [
        "{",
        "[]",
        "null",
        '"\\ud800',
        json.dumps({"stages": {}}),
        *(
            json.dumps({"study": "a", "stages": stages})
            for stages in (
                [],
                None,
                {"a/b": 3},
                {"a/b": []},
                {"b": RECORD},
                {"a/b": {**RECORD, "key": 3}},
                {"a/b": {**RECORD, "options": []}},
                {"a/b": {**RECORD, "finished": 3}},
                {"a/b": {**RECORD, "more": 3}},
            )
        ),
    ],
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
