"""Labels and phases of other programs: any type and format, with and without grey values, and those refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray

from shapes import ball_at
from sources import hdf5
from stores import read_whole
from studies import UP_TO_TABLE
from tomostat import cli, pipeline
from tomostat.datasets import open_particles
from tomostat.measure import MeasureOptions
from tomostat.study import Study, load_study, save_study, study_of_volume
from tomostat.volume import describe, read_fit

SHAPE = (20, 40, 60)
IDS = (3, 70_000, 2**40)
"""Labels with gaps, beyond 65535, and beyond 32 bits."""

CENTRES = ((10, 20, 12), (10, 19, 30), (10, 21, 48))
CODES = {0: "pore", 85: "active", 170: "cbd"}


def labels(ids: tuple[int, ...] = IDS) -> NDArray[np.int64]:
    """Three balls of radius 7 voxels."""
    found = np.zeros(SHAPE, np.int64)
    for centre, number in zip(CENTRES, ids, strict=True):
        found[ball_at(SHAPE, centre, 7)] = number
    return found


def phases() -> NDArray[np.uint8]:
    """The balls in carbon-binder on one side, in pores on the other, as the values of `CODES`."""
    found = np.where(np.arange(SHAPE[1])[:, None] < 20, 170, 0) * np.ones(SHAPE)
    found[labels() > 0] = 85
    return found.astype(np.uint8)


def saved(folder: Path, image: NDArray[Any], name: str) -> Path:
    path = folder / name
    if path.suffix == ".npy":
        np.save(path, image)
    elif path.suffix == ".h5":
        hdf5(path, {"exported_data": image, "other": image})
    elif path.suffix == ".zarr":
        zarr.create_array(path, data=image)
    else:
        tifffile.imwrite(path, image, photometric="minisblack")
    return path


def measured(study: Study) -> Any:
    """The particle table of a study of one field."""
    study = study.with_options(measure=MeasureOptions(maps=False))
    return open_particles(pipeline.run(study, stages=UP_TO_TABLE).particles)


@pytest.mark.parametrize(
    ("name", "dtype", "dataset"),
    [
        ("labels.npy", "u8", ""),
        ("labels.h5", "i8", ":exported_data"),
        ("labels.zarr", "i8", ""),
        ("labels.tif", "f8", ""),
    ],
)
def test_labels_of_any_type(name: str, dtype: str, dataset: str, tmp_path: Path) -> None:
    path = saved(tmp_path, labels().astype(dtype), name)
    study = study_of_volume(None, tmp_path / "out", spacing=0.1, labels=f"{path}{dataset}", name="field")
    volume = pipeline.run(study, stages=["ingest"]).volume("field")
    np.testing.assert_array_equal(read_whole(volume, "particles"), labels((1, 2, 3)))
    assert describe(volume, "particles").attributes["original_ids"] == list(IDS)
    assert describe(volume).spacing == (0.1, 0.1, 0.1)


def test_labels_alone(tmp_path: Path) -> None:
    table = measured(
        study_of_volume(None, tmp_path / "out", spacing=0.1, labels=saved(tmp_path, labels(), "labels.npy"))
    )
    assert table["original_id"].to_numpy().tolist() == list(IDS)
    assert table["label"].to_numpy().tolist() == [1, 2, 3]
    np.testing.assert_allclose(table["volume"], 4 / 3 * np.pi * 0.7**3, rtol=0.02)
    assert table["pieces"].to_numpy().tolist() == [1, 1, 1]
    for column in ("mean_grey", "inner_grey", "grey_profile", "layer_grey", "relative_intensity", "detachment"):
        assert np.isnan(table[column]).all(), column
    assert np.isfinite(table["convexity"]).all()


def test_phases_decide_contact_without_grey_values(tmp_path: Path) -> None:
    """About half of every ball lies in carbon-binder: what is above y = 19.5 of a sphere is its share of the height."""
    study = study_of_volume(
        None, tmp_path / "out", spacing=0.1, labels=saved(tmp_path, labels(), "labels.npy"),
        phases_image=saved(tmp_path, phases(), "phases.tif"), phase_codes=CODES,
    )  # fmt: skip
    table = measured(study)
    expected = [(7 + y - 19.5) / 14 for _, y, _ in CENTRES]
    np.testing.assert_allclose(table["detachment"], expected, atol=0.03)
    assert np.isnan(table["mean_grey"]).all()
    volume = tmp_path / "out" / "fields" / "labels.zarr"
    assert describe(volume).rendered
    fit = read_fit(volume)
    assert fit.shares.active == pytest.approx((phases() == 85).mean())
    assert fit.shares.cbd == pytest.approx((phases() == 170).mean())
    assert any("no grey values" in warning for warning in fit.warnings)
    assert (read_whole(volume, "phases") == np.select([phases() == 85, phases() == 170], [2, 1])).all()


def test_levels_blur_and_noise_are_found_from_grey_and_phases(tmp_path: Path) -> None:
    from scipy import ndimage

    shape = (40, 96, 96)
    rng = np.random.default_rng(0)
    codes = np.where(np.arange(96)[:, None] < 48, 170, 0) * np.ones(shape)
    for centre in np.argwhere(np.ones((1, 3, 3))) * (0, 32, 32) + (20, 16, 16):
        codes[ball_at(shape, tuple(centre), 12)] = 85
    levels = np.select([codes == 85, codes == 170], [200.0, 90.0], 50.0)
    grey = ndimage.gaussian_filter(levels, 1.2) + rng.normal(0, 6, shape)
    study = study_of_volume(
        saved(tmp_path, np.rint(grey).astype(np.uint8), "grey.tif"), tmp_path / "out", spacing=0.1,
        phases_image=saved(tmp_path, codes.astype(np.uint8), "phases.tif"), phase_codes=CODES,
    )  # fmt: skip
    layout = pipeline.run(study, stages=["ingest", "phases"])
    fit = read_fit(layout.volume("grey"))
    assert fit.levels.pore == pytest.approx(50, abs=2)
    assert fit.levels.cbd == pytest.approx(90, abs=2)
    assert fit.levels.active == pytest.approx(200, abs=2)
    assert fit.noise == pytest.approx(6, rel=0.1)
    assert fit.blur == pytest.approx(1.2, abs=0.2)
    assert (read_whole(layout.volume("grey"), "phases") == np.select([codes == 85, codes == 170], [2, 1])).all()


@pytest.mark.slow
def test_true_labels_beside_the_normal_run(study: Study, results: Any, tmp_path: Path) -> None:
    """Detachment is that of true labels inside tomostat, whatever their numbers; detect and stitch are left out."""
    import shutil

    from tomostat.measure import measure_particles

    one = study.fields[0]
    true = read_whole(one.path, "truth_particles").astype(np.int64)
    numbers = np.where(true > 0, 1000 - 7 * true, 0)
    out = tmp_path / "out"
    given = study_of_volume(
        one.path, out, spacing=one.spacing, labels=saved(tmp_path, numbers, "labels.npy"), name="field"
    )
    table = measured(given)
    inside = tmp_path / "inside.zarr"
    shutil.copytree(results.volume(one.name), inside)
    shutil.rmtree(inside / "labels" / "particles")
    shutil.copytree(one.path / "labels" / "truth_particles", inside / "labels" / "particles")
    expected = measure_particles(inside, options=MeasureOptions(maps=False))
    order = np.argsort(table["original_id"].to_numpy())[::-1]
    np.testing.assert_array_equal((1000 - table["original_id"].to_numpy()[order]) // 7, expected["label"])
    for column in ("detachment", "volume", "surface_area", "mean_grey"):
        np.testing.assert_array_equal(table[column].to_numpy()[order], expected[column], err_msg=column)
    assert not (out / "instances").exists()
    assert not (out / "graph").exists()


def test_a_study_file_names_them(tmp_path: Path) -> None:
    saved(tmp_path, labels(), "labels.npy")
    saved(tmp_path, phases(), "phases.tif")
    (tmp_path / "study.yaml").write_text(
        "output: out\nspacing: 0.1\nsamples:\n- name: a\n  fields:\n  - labels: labels.npy\n"
        "    phases_image: phases.tif\n    phase_codes: {0: pore, 85: active, 170: cbd}\n"
    )
    known = load_study(tmp_path / "study.yaml")
    assert known.fields[0].name == "labels"
    assert known.fields[0].phase_codes == CODES
    save_study(known, tmp_path / "again.yaml")
    assert load_study(tmp_path / "again.yaml", record=True).fields == known.fields


def test_odd_labels_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One label in two pieces, one outside the field of view."""
    image, codes = labels((4, 9, 9)), phases()
    codes[:, :, :10] = 255
    study = study_of_volume(
        None, tmp_path / "out", spacing=0.1, labels=saved(tmp_path, image, "labels.npy"),
        phases_image=saved(tmp_path, codes, "phases.tif"), phase_codes=CODES | {255: "outside"},
    )  # fmt: skip
    table = measured(study)
    assert table["pieces"].to_numpy().tolist() == [1, 2]
    assert table["outside_field"].to_numpy()[0] > 0.2
    assert "1 of 2 labels are in several pieces that do not touch (column pieces): 9" in caplog.text
    assert "1 of 2 labels are partly outside the field of view (column outside_field): 4" in caplog.text


def test_blocks_change_nothing(tmp_path: Path) -> None:
    """Labels read in slices of one, and in one piece."""
    whole = study_of_volume(None, tmp_path / "a", spacing=0.1, labels=saved(tmp_path, labels(), "labels.npy"))
    folder = tmp_path / "slices"
    folder.mkdir()
    for z, image in enumerate(labels((3, 70_000, 900_000)).astype(np.uint32)):
        tifffile.imwrite(folder / f"{z:03d}.tif", image)
    sliced = study_of_volume(None, tmp_path / "b", spacing=0.1, labels=folder)
    found = [
        read_whole(pipeline.run(study, stages=["ingest"]).volume(study.fields[0].name), "particles")
        for study in (whole, sliced)
    ]
    np.testing.assert_array_equal(*found)


def refused(capsys: pytest.CaptureFixture[str], *tokens: object) -> str:
    """The one line that a command is refused with."""
    status = cli.main([str(token) for token in tokens])
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tomostat: ")]
    assert status == 2
    assert len(said) == 1
    return said[0]


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (labels()[:-1], "labels are 19 x 40 x 60 voxels, the field is 20 x 40 x 60"),
        (labels().T, "in another order of axes"),
    ],
)
def test_labels_that_do_not_fit_are_refused_before_work(
    image: NDArray[Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grey = saved(tmp_path, phases(), "grey.tif")
    path = saved(tmp_path, image, "labels.npy")
    assert said in refused(
        capsys, "run", grey, "--labels", path, "--spacing", 0.1, "--out", tmp_path / "out", "--workers", 1
    )
    assert not (tmp_path / "out").exists()


def test_a_colour_picture_of_labels_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tifffile.imwrite(tmp_path / "labels.tif", np.zeros((20, 40, 60, 3), np.uint8), photometric="rgb")
    assert "colour" in refused(
        capsys, "run", "--labels", tmp_path / "labels.tif", "--spacing", 0.1, "--out", tmp_path / "out"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.where(labels() > 0, 1.5, 0), "no whole numbers; expected labels"),
        (np.where(labels() > 0, np.nan, 0), "no whole numbers; expected labels"),
        (labels((1, 2, -3)), "the lowest label is -3"),
        (np.where(labels() > 0, np.uint64(2**63 + 5), np.uint64(0)), "beyond 9223372036854775807"),
        (labels((255, 255, 255)), "the single label 255: a mask"),
        (labels() > 0, "the single label 1: a mask"),
        (labels() * 0, "holds no label"),
    ],
)
def test_labels_of_odd_values_are_refused(image: NDArray[Any], said: str, tmp_path: Path) -> None:
    study = study_of_volume(None, tmp_path / "out", spacing=0.1, labels=saved(tmp_path, image, "labels.npy"))
    with pytest.raises(ValueError, match=said):
        pipeline.run(study)
    assert not list(tmp_path.glob("out/fields/*"))


def test_a_single_label_in_one_piece_is_a_particle(tmp_path: Path) -> None:
    study = study_of_volume(None, tmp_path / "out", spacing=0.1, labels=saved(tmp_path, labels((7, 0, 0)), "one.npy"))
    assert measured(study).sizes["particle"] == 1


def test_grey_values_in_place_of_labels_are_refused(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(20, 200, (8, 24, 24)).astype(np.uint8)
    study = study_of_volume(None, tmp_path / "out", spacing=0.1, labels=saved(tmp_path, grey, "grey.tif"))
    with pytest.raises(ValueError, match=r"grey.tif has no background: no voxel is 0.*are these grey values\?"):
        measured(study)


def test_phases_without_meaning_are_refused(tmp_path: Path) -> None:
    image = saved(tmp_path, phases(), "phases.tif")
    study = study_of_volume(
        None, tmp_path / "out", spacing=0.1, phases_image=image, phase_codes={0: "pore", 85: "active"}
    )
    with pytest.raises(ValueError, match="holds the value 170, which phase_codes do not name; they name 0, 85"):
        pipeline.run(study)
    assert not list(tmp_path.glob("out/fields/*"))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--phases-image", "p.tif"], "phases_image and phase_codes belong together"),
        (["--phases-image", "p.tif", "--phase-codes", "0=void"], "expected whole numbers with one of pore, cbd"),
        (["--phases-image", "p.tif", "--phase-codes", "pore"], "expected VALUE=PHASE"),
        (["--labels", "none.tif"], "none.tif"),
        (["none.tif", "--labels", "labels.npy"], "none.tif"),
        ([], "name a study file or a volume"),
    ],
)
def test_flags_that_are_refused(
    flags: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path, phases(), "p.tif")
    saved(tmp_path, labels(), "labels.npy")
    assert said in refused(capsys, "run", *flags, "--spacing", 0.1, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_study_file_and_flags_do_not_mix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "run", tmp_path / "study.yaml", "--labels", "labels.npy")
    assert "--labels goes with a volume" in said


def test_corrections_belong_where_the_labels_are_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path, labels(), "labels.npy")
    pipeline.run(study_of_volume(None, tmp_path / "out", spacing=0.1, labels=path), stages=["ingest", "phases"])
    assert "correct them there" in refused(capsys, "stitch", tmp_path / "out", "--cut", 1, 2, "--workers", 1)
