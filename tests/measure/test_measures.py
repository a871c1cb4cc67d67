"""Declarations of measures, tomostat's own and those of other packages."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stores import half_ball, store, three_balls
from tomostat.datasets import flatten, open_particles
from tomostat.measure import (
    Axis,
    FieldParticles,
    Measure,
    MeasureOptions,
    Particle,
    all_columns,
    chosen_measures,
    measure_particles,
    of_field,
    of_particle,
    write_particles,
)
from tomostat.measure.measures import TOPICS, built_in
from tomostat.plugins import PluginError

HALF = Axis("half", ("low", "high"))
WHAT = {"units": "1", "long_name": "a number made up for tests"}


@of_particle(
    Measure(name="brightest", units="1", long_name="largest grey value in the particle's box", missing="when small"),
    Measure(name="halves", units="1", long_name="voxels of the two halves along z", dims=(HALF,), dtype="i8"),
    Measure(name="height", units="micrometer", long_name="extent along z", needs_volume=True),
)
def box_figures(particle: Particle) -> dict[str, Any]:
    """A measure of single particles; numpy values, as most functions give them."""
    own = particle.box.labels == particle.label
    middle = len(own) // 2
    found = {"halves": np.array([own[:middle].sum(), own[middle:].sum()]), "height": np.float64(len(own))}
    return found if particle.label == 3 else found | {"brightest": particle.box.grey.max()}


@of_field(
    Measure(name="place", units="1", long_name="rank by volume", dtype="i8"),
    Measure(name="unknown_height", units="micrometer", long_name="left out by its function"),
)
def ranks(particles: FieldParticles) -> dict[str, Any]:
    """A measure of a whole field, from a column of tomostat."""
    return {"place": np.argsort(np.argsort(-particles["volume"]))}


@of_particle(Measure(name="broken", **WHAT))
def fails_at_seven(particle: Particle) -> dict[str, float]:
    if particle.label == 7:
        raise ZeroDivisionError("no pores to divide by")
    return {"broken": 1.0}


@of_field(Measure(name="broken_field", **WHAT))
def fails_in_a_field(particles: FieldParticles) -> dict[str, Any]:
    return {"broken_field": particles["no_such_column"]}


@of_particle(Measure(name="declared", **WHAT))
def computes_more(particle: Particle) -> dict[str, float]:
    return {"declared": 1.0, "undeclared": 2.0}


@of_field(Measure(name="declared_field", **WHAT))
def computes_more_in_a_field(particles: FieldParticles) -> dict[str, Any]:
    return {"undeclared_field": np.zeros(len(particles))}


@of_particle(Measure(name="pair", dims=(HALF,), **WHAT))
def wrong_shape(particle: Particle) -> dict[str, Any]:
    return {"pair": [1.0, 2.0, 3.0]}


@of_field(Measure(name="one_each", **WHAT))
def wrong_length(particles: FieldParticles) -> dict[str, Any]:
    return {"one_each": np.zeros(len(particles) + 1)}


@of_field(Measure(name="of_itself", **WHAT))
def needs_itself(particles: FieldParticles) -> dict[str, Any]:
    return {"of_itself": particles["of_itself"] + 1}


@of_field(Measure(name="height_of_field", needs_volume=True, **WHAT))
def border(particles: FieldParticles) -> dict[str, Any]:
    """Named like a function of tomostat, a column of which it needs."""
    return {"height_of_field": particles["touches_border"] + 1.0}


@of_particle(Measure(name="whole", dtype="i8", **WHAT))
def no_whole_number(particle: Particle) -> dict[str, float]:
    return {"whole": float("nan")}


@of_field(Measure(name="small", dtype="u1", **WHAT))
def too_large(particles: FieldParticles) -> dict[str, Any]:
    return {"small": np.full(len(particles), 300)}


@of_particle(Measure(name="volume", **WHAT))
def declares_a_known_column(particle: Particle) -> dict[str, float]:
    return {"volume": 1.0}


@of_particle(Measure(name="label", **WHAT))
def declares_a_key(particle: Particle) -> dict[str, float]:
    return {"label": 1.0}


@of_particle(Measure(name="brightest", **WHAT))
def declares_a_plugins_column(particle: Particle) -> dict[str, float]:
    return {"brightest": 1.0}


@of_particle(Measure(name="rank", **WHAT))
def named_like_a_dimension(particle: Particle) -> dict[str, float]:
    return {"rank": 1.0}


@of_particle(Measure(name="by_side", dims=(Axis("side", ("left", "right")),), **WHAT))
def other_coordinates(particle: Particle) -> dict[str, Any]:
    return {"by_side": [1.0, 2.0]}


def with_extra(*names: str, **options: Any) -> MeasureOptions:
    """Options that name measures of this module."""
    return MeasureOptions(extra=tuple(f"{__name__}:{name}" for name in names), maps=False, **options)


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store(tmp_path_factory.mktemp("measures") / "field.zarr", *three_balls())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "two words"}, "name of a measure is 'two words'"),
        ({"dtype": "f4"}, "dtype of made_up is 'f4'; expected one of f8"),
        ({"shown": ("report", "newspaper")}, "shown of made_up"),
    ],
)
def test_bad_declarations(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Measure(**{"name": "made_up", **WHAT} | given)


def test_own_measures_are_complete() -> None:
    """Every column is declared once, with units, meaning and definition; NaN where it says when it is missing."""
    groups = built_in()
    names = [measure.name for plugin in groups for measure in plugin.value.measures]
    assert len(names) == len(set(names))
    modules = [plugin.value.compute.__module__ for plugin in groups]
    topics = [module.split(".")[2] for module in modules]
    assert topics == sorted(topics, key=TOPICS.index)
    for name, measure in all_columns(chosen_measures(MeasureOptions())).items():
        assert measure.long_name, name
        assert measure.definition, name
        assert measure.definition.endswith("."), name
        assert not measure.internal, name
    assert "inner_std" in chosen_measures(MeasureOptions()).measures
    assert "inner_std" not in chosen_measures(MeasureOptions()).columns


def test_measures_of_another_package(field: Path, tmp_path: Path) -> None:
    table = measure_particles(field, options=with_extra("ranks", "box_figures"))
    own = list(all_columns(chosen_measures(MeasureOptions())))
    added = ["place", "unknown_height", "brightest", "halves", "height"]
    assert list(table.data_vars) == own + added
    assert table["label"].values.tolist() == [3, 7, 12]
    assert table["place"].values.tolist() == [2, 0, 1]
    assert np.isnan(table["unknown_height"]).all()
    assert np.isnan(table["brightest"].values).tolist() == [True, False, False]
    assert table["halves"].dims == ("particle", "half")
    assert table["halves"].sum("half").values.tolist() == table["voxel_count"].values.tolist()
    assert table["halves"].dtype == np.int64
    assert table["brightest"].attrs["units"] == "1"
    assert table["height"].attrs["units"] == "micrometer"
    assert table["brightest"].attrs["missing"] == "when small"
    assert table["brightest"].attrs["heading"] == "brightest"
    plugins, digests = zip(*map(str.split, table.attrs["plugins"]), strict=True)
    assert plugins == (f"{__name__}:ranks", f"{__name__}:box_figures")
    assert digests == (sha256(Path(__file__).read_bytes()).hexdigest()[:12],) * 2
    write_particles(tmp_path / "particles.zarr", table)
    opened = open_particles(tmp_path)
    assert list(opened.data_vars) == own + added
    assert all(opened[name].attrs == table[name].attrs for name in table.data_vars)
    assert list(flatten(opened))[-6:] == ["place", "unknown_height", "brightest", "halves_low", "halves_high", "height"]


def test_a_measure_that_needs_a_volume_is_missing_in_a_slice(tmp_path: Path) -> None:
    labels, phases = three_balls()
    path = store(tmp_path / "slice.zarr", labels[20:21], phases[20:21])
    table = measure_particles(path, options=with_extra("box_figures", "border"))
    assert np.isnan(table["height"]).all()
    assert np.isnan(table["height_of_field"]).all()
    assert table["halves"].sum("half").values.tolist() == table["voxel_count"].values.tolist()
    columns = chosen_measures(MeasureOptions()).columns
    for name, measure in columns.items():
        if measure.needs_volume:
            missing = measure.missing_values(table.sizes["particle"])
            np.testing.assert_array_equal(table[name], missing, err_msg=name)


def test_a_measure_may_be_named_like_one_of_tomostat(field: Path) -> None:
    table = measure_particles(field, options=MeasureOptions(extra=(f"{__name__}:border",), maps=False))
    assert table["height_of_field"].values.tolist() == (table["touches_border"] + 1.0).values.tolist()


def test_particles_too_small_for_a_surface_have_no_values(tmp_path: Path) -> None:
    labels = np.zeros((12, 12, 40), np.uint32)
    labels[6, 6, 5:31] = 4
    path = store(tmp_path / "f.zarr", labels, np.where(labels > 0, 2, 1).astype(np.uint8))
    table = measure_particles(path, options=with_extra("box_figures", "ranks"))
    assert np.isnan(table["brightest"]).all()
    assert table["halves"].values.tolist() == [[0, 0]]
    assert table["place"].values.tolist() == [0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fails_at_seven", "fails_at_seven failed at particle 7: ZeroDivisionError: no pores to divide by"),
        ("fails_in_a_field", "fails_in_a_field failed at the particles of .*field.zarr: KeyError: .*no_such_column"),
        ("computes_more", "computes_more computes 'undeclared', which it does not declare"),
        ("computes_more_in_a_field", "computes_more_in_a_field computes 'undeclared_field', which it does not declare"),
        ("wrong_shape", r"wrong_shape failed at particle 3: ValueError: pair has shape \(3,\); expected \(2,\)"),
        ("wrong_length", r"wrong_length gives one_each with shape \(4,\); expected \(3,\)"),
        ("no_whole_number", "no_whole_number failed at particle 3: ValueError: whole is nan; expected int64"),
        ("too_large", "too_large failed at the particles of .*: ValueError: small is 300; expected uint8"),
        ("needs_itself", "needs_itself needs its own column 'of_itself'"),
    ],
)
def test_errors_name_the_measure_and_the_place(name: str, message: str, field: Path) -> None:
    with pytest.raises(PluginError, match=message):
        measure_particles(field, options=with_extra(name))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("declares_a_known_column",), "declares the column 'volume', which tomostat has"),
        (("declares_a_key",), "declares the column 'label', which tomostat has"),
        (("box_figures", "declares_a_plugins_column"), "declares the column 'brightest', which .*box_figures has"),
        (("named_like_a_dimension",), "names a column 'rank', which is a dimension of the table"),
        (("other_coordinates",), "gives the dimension 'side' of by_side coordinates other than"),
        (("with_extra",), "is a function; expected a function decorated with"),
        (("not_there",), "cannot be imported"),
    ],
)
def test_refused_before_anything_is_read(names: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        chosen_measures(with_extra(*names))
    path = half_ball(tmp_path / "f.zarr")
    with pytest.raises(ValueError, match=message):
        measure_particles(path, options=with_extra(*names))
    assert not (path / "maps").exists()


def test_a_column_that_nobody_declares() -> None:
    with pytest.raises(KeyError, match="no measure declares the column 'colour'"):
        chosen_measures(MeasureOptions()).owner("colour")
