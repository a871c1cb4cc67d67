from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tomostat.phases.options import PhasesOptions
from tomostat.stitch.options import StitchOptions
from tomostat.study import Field, Sample, Study, load_study, save_study, study_of_volume

STUDY = """
study: demo
output: out
spacing: [0.2, 0.1, 0.1]
samples:
  - name: cell-1
    condition: 1C
    fields:
      - path: a.tif
      - {path: b.tif, name: second, spacing: 0.05, density_scale: 1.0e-8, density_offset: 0}
  - name: cell-2
    fields: [c.h5]
stitch:
  max_gap: 3
phases:
  thresholds: [80, 120]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_study_file_is_read_whole(tmp_path):
    study = load_study(write(tmp_path, STUDY))
    assert study.study == "demo"
    assert study.output == tmp_path / "out"
    assert [field.name for field in study.fields] == ["a", "second", "c"]
    assert [field.spacing for field in study.fields] == [(0.2, 0.1, 0.1), (0.05, 0.05, 0.05), (0.2, 0.1, 0.1)]
    assert study.sample_of(study.fields[1]).condition == "1C"
    assert study.sample_of(study.fields[2]).condition == "unknown"
    assert study.options["stitch"].max_gap == 3
    assert study.options["phases"].thresholds == (80, 120)
    assert study.options["detect"] == type(study.options["detect"])()


def test_a_saved_study_reads_back_the_same(tmp_path):
    study = load_study(write(tmp_path, STUDY))
    save_study(study, tmp_path / "again.yaml")
    assert load_study(tmp_path / "again.yaml") == study


def test_only_given_options_lie_over_the_study_file(tmp_path):
    study = load_study(write(tmp_path, STUDY)).with_options(
        stitch=StitchOptions(min_iou=0.5), phases=PhasesOptions(smoothing=1.0)
    )
    assert study.options["stitch"] == StitchOptions(min_iou=0.5, max_gap=3)
    assert study.options["phases"].thresholds == (80, 120)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "unknown key 'colour'"),
        ({"phases": {"smoothness": 1}}, "phases: unknown key 'smoothness'"),
        ({"phases": {"smoothing": -1}}, "smoothing is -1"),
        ({"phases": {"smoothing": "much"}}, "phases: smoothing is 'much'; expected float"),
        ({"phases": {"phases": 4}}, "phases: phases is 4"),
        ({"phases": {"thresholds": [1, "b"]}}, "phases: thresholds is"),
        ({"stitch": {"max_gap": 1.5}}, "stitch: max_gap is 1.5; expected int"),
        ({"measure": {"exclude_particle_contact": "no"}}, "exclude_particle_contact is 'no'; expected bool"),
        ({"phases": 3}, "phases is 3"),
        ({"samples": []}, "samples is missing"),
        ({"samples": [{"condition": "1C", "fields": ["a.tif"]}]}, "a sample has no name"),
        ({"samples": [{"name": "s", "fields": []}]}, "sample 's': fields is missing"),
        ({"samples": [{"name": "s", "fields": [{"name": "a"}]}]}, "a field has no path"),
        ({"samples": [{"name": "s", "fields": [{"path": "a.tif", "spacng": 1}]}]}, "unknown key 'spacng'"),
        ({"samples": [{"name": "s", "fields": ["x/a.tif", "y/a.tif"]}]}, "two fields are named 'a'"),
        ({"samples": [{"name": "s", "fields": ["a"]}, {"name": "s", "fields": ["b"]}]}, "two samples are named 's'"),
        ({"samples": [{"name": "s", "fields": [{"path": "a", "spacing": [1, 0, 1]}]}]}, "spacing is"),
        ({"samples": [{"name": "s", "fields": [{"path": "a", "spacing": [1, 2]}]}]}, "spacing is"),
        ({"samples": [{"name": "s", "fields": [{"path": "a", "spacing": "wide"}]}]}, "spacing is"),
        ({"samples": [{"name": "s", "fields": [{"path": "a", "spacing": True}]}]}, "spacing is True"),
        ({"samples": [{"name": "s", "fields": [{"path": "a", "density_scale": 1.0}]}]}, "belong together"),
        (
            {"samples": [{"name": "s", "fields": [{"path": "a", "density_scale": "small", "density_offset": 0}]}]},
            "density_scale is 'small'; expected a number",
        ),
        ({"stitch": {1: 2, "x": 3}}, "stitch: unknown key 1"),
        ({"samples": [{"name": "s", "fields": [{"path": "a", "name": "../x"}]}]}, "field name is '../x'"),
    ],
)
def test_a_wrong_study_file_is_refused_with_its_place(tmp_path, change, message):
    path = write(tmp_path, yaml.safe_dump(yaml.safe_load(STUDY) | change))
    with pytest.raises(ValueError, match=message) as caught:
        load_study(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1, 2\n", ""])
def test_a_file_that_is_no_study_is_refused(tmp_path, text):
    with pytest.raises(ValueError, match=r"study\.yaml"):
        load_study(write(tmp_path, text))


def test_a_missing_study_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.yaml"):
        load_study(tmp_path / "none.yaml")


def test_a_volume_is_a_study_of_its_own(tmp_path):
    study = study_of_volume(tmp_path / "scan.ome.tif", tmp_path / "out", spacing=0.05)
    assert (study.study, study.fields[0].name) == ("scan", "scan")
    assert study.fields[0].spacing == (0.05, 0.05, 0.05)


def test_a_study_without_fields_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no field"):
        Study(study="s", output=tmp_path, samples=(Sample(name="s", fields=()),))


def test_one_file_is_one_field(tmp_path):
    """Compared with itself it would look like another sample; with labels of another program it may be."""
    one, two = Field(path=Path("a.tif"), name="one"), Field(path=Path("a.tif"), name="two")
    samples = [Sample(name="s", fields=(one,), condition="x"), Sample(name="t", fields=(two,), condition="y")]
    with pytest.raises(ValueError, match=r"fields 'one' and 'two' are of the same file, a\.tif"):
        Study(study="s", output=tmp_path, samples=tuple(samples))
    datasets = [Field(path=Path(f"a.h5:/entry/{name}")) for name in "bc"]
    two = Study(study="s", output=tmp_path, samples=(Sample(name="s", fields=tuple(datasets)),))
    assert [item.name for item in two.fields] == ["b", "c"]
    labelled = Field(path=Path("a.tif"), name="two", labels=Path("b.tif"))
    samples[1] = Sample(name="t", fields=(labelled,), condition="y")
    study = Study(study="s", output=tmp_path, samples=tuple(samples))
    assert [study.sample_of(item).condition for item in study.fields] == ["x", "y"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (STUDY + "spacing: 0.4\n", "key 'spacing' stands twice, in lines"),
        (STUDY.replace("- path: a.tif", "- {path: a.tif, path: b.tif}"), "key 'path' stands twice"),
    ],
)
def test_a_key_that_stands_twice_is_refused(tmp_path, text, said):
    with pytest.raises(ValueError, match=said):
        load_study(write(tmp_path, text))


def test_offsets_place_the_fields_of_a_sample(tmp_path):
    placed = STUDY.replace("- path: a.tif", "- {path: a.tif, offset: [0, 0, -3.5]}").replace(
        "density_offset: 0}", "density_offset: 0, offset: [0, 40, 0]}"
    )
    study = load_study(write(tmp_path, placed))
    assert [field.offset for field in study.fields] == [(0.0, 0.0, -3.5), (0.0, 40.0, 0.0), None]
    save_study(study, tmp_path / "again.yaml")
    assert load_study(tmp_path / "again.yaml") == study


@pytest.mark.parametrize("value", ["3", "[1, 2]", "[1, 2, x]", "[1, 2, .nan]", "[1, 2, .inf]", "[1, 2, true]"])
def test_bad_offsets_are_refused(tmp_path, value):
    text = STUDY.replace("fields: [c.h5]", f"fields: [{{path: c.h5, offset: {value}}}]")
    with pytest.raises(ValueError, match=r"study\.yaml: offset of field 'c' is .* three numbers") as error:
        load_study(write(tmp_path, text))
    assert "\n" not in str(error.value)


def test_offsets_are_for_all_fields_of_a_sample_or_none(tmp_path):
    text = STUDY.replace("- path: a.tif", "- {path: a.tif, offset: [0, 0, 0]}")
    with pytest.raises(ValueError, match="sample 'cell-1': field 'second' has no offset and others have"):
        load_study(write(tmp_path, text))


def test_names_stay_as_they_are_written(tmp_path):
    """What YAML would turn into numbers, booleans, times and dates."""
    for text in ("010", "1e-1", "no", "on", "12:30", "2026-11-26", "0x1F", "1_000", "null-run", "1.50"):
        (tmp_path / "s.yaml").write_text(
            f"study: {text}\nspacing: 1e-1\nsamples: [{{name: {text}, condition: {text}, fields: [a.tif]}}]"
        )
        study = load_study(tmp_path / "s.yaml")
        assert (study.study, study.samples[0].name, study.samples[0].condition) == (text, text, text)
        assert study.fields[0].spacing == (0.1, 0.1, 0.1)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("NMC811 (pos 2) 50nm.tif", "NMC811_pos_2_50nm"),
        ("Zelle_Süd_1µm.tif", "Zelle_Sud_1um"),
        ("Größe.ome.tif", "Grosse"),
        ("正極.tif", "field"),
        ("_x.tif", "x"),
        ("a.b-c.zarr", "a.b-c"),
    ],
)
def test_any_file_name_makes_a_field_name(file, name):
    assert Field(path=file).name == name


def test_a_given_name_is_not_changed():
    with pytest.raises(ValueError, match=r"field name is 'pos 2'; expected letters.*\(--name, or name: in"):
        Field(path="a.tif", name="pos 2")


def test_paths_are_relative_to_the_file_and_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    text = STUDY.replace("output: out", "output: ~/results").replace("path: a.tif", "path: ~/a.tif")
    study = load_study(write(tmp_path, text + "detect:\n  weights: own.safetensors\nmeasure:\n  curve: ~/ocv.csv\n"))
    assert study.output == tmp_path / "home" / "results"
    assert study.fields[0].path == tmp_path / "home" / "a.tif"
    assert study.options["detect"].weights == str(tmp_path / "own.safetensors")
    assert study.options["measure"].curve == str(tmp_path / "home" / "ocv.csv")
    shipped = load_study(write(tmp_path, STUDY + "detect:\n  weights: accurate\n"))
    assert shipped.options["detect"].weights == "accurate"


def test_the_output_folder_is_absolute():
    """Workers may have been started in another folder."""
    assert study_of_volume("scan.tif", "out").output == Path("out").absolute()
