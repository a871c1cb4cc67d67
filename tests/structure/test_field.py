"""Fractions, surfaces and tortuosity against shapes that are known, for any blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from shapes import ball_at
from stores import store
from tomostat import pipeline
from tomostat.execution import Execution
from tomostat.structure import StructureOptions, measure_structure
from tomostat.structure.kernels.counts import cell_numbers, divisions
from tomostat.structure.kernels.tortuosity import tortuosity
from tomostat.study import study_of_volume
from tomostat.volume import pyramid_tasks

SHAPE = (64, 64, 64)
SPACING = (0.2, 0.1, 0.1)


def stored(path: Path, phases: np.ndarray, spacing: tuple[float, float, float] = SPACING) -> Path:
    """A field store with these phases and their pyramid."""
    store(path, np.zeros(phases.shape, np.uint32), phases.astype(np.uint8), phases * 1.0, spacing=spacing)
    for tasks in pyramid_tasks(path, "phases"):
        Execution().run("levels", tasks)
    return path


def test_cells_are_powers_of_two_of_some_voxels() -> None:
    assert cell_numbers((2048, 100, 20)) == (8, 4, 1)
    assert divisions((8, 4, 1)) == [(1, 1, 1), (2, 2, 1), (4, 4, 1), (8, 4, 1)]


def test_a_ball_in_pores(tmp_path: Path) -> None:
    phases = np.where(ball_at((80, 80, 80), (39.3, 39.8, 40.1), 30), 2, 0)
    whole = measure_structure(stored(tmp_path / "f.zarr", phases, (0.1, 0.1, 0.1))).isel(division=0)
    volume = 8.0**3
    assert float(whole["fraction"].sel(phase="active")) == pytest.approx(4 / 3 * np.pi * 3**3 / volume, rel=0.005)
    for phase in ("active", "pore"):
        found = float(whole["specific_surface"].sel(phase=phase))
        assert found == pytest.approx(4 * np.pi * 3**2 / volume, rel=0.01)
    assert float(whole["specific_surface"].sel(phase="cbd")) == 0
    assert float(whole["part_length"]) == pytest.approx(8)


def test_parts_are_those_of_the_volume(tmp_path: Path) -> None:
    """Against shares of boxes that numpy cuts out; what lies outside the field counts nowhere."""
    phases = np.random.default_rng(0).integers(0, 5, SHAPE)
    found = measure_structure(stored(tmp_path / "f.zarr", phases))
    assert found["parts"].to_numpy().tolist() == [1, 8, 64]
    boxes = phases.reshape(2, 32, 2, 32, 2, 32).transpose(0, 2, 4, 1, 3, 5).reshape(8, -1)
    shares = np.stack([(boxes == phase).sum(axis=1) / (boxes < 4).sum(axis=1) for phase in range(4)], axis=1)
    np.testing.assert_allclose(found["fraction"][1], shares.mean(axis=0))
    np.testing.assert_allclose(found["fraction_std"][1], shares.std(axis=0, ddof=1))
    assert np.isnan(found["fraction_std"][0]).all()
    for name, variable in found.data_vars.items():
        assert variable.attrs["long_name"], name
        assert variable.attrs["units"], name


def test_blocks_change_nothing(tmp_path: Path) -> None:
    path = stored(tmp_path / "f.zarr", np.random.default_rng(0).integers(0, 5, SHAPE))
    whole = measure_structure(path)
    assert whole.identical(measure_structure(path, block=(64, 64, 32)))
    assert whole.identical(measure_structure(path, block=(32, 32, 64)))


def test_a_single_slice_and_one_phase(tmp_path: Path) -> None:
    found = measure_structure(stored(tmp_path / "f.zarr", np.full((1, 40, 50), 2)))
    assert float(found["fraction"][0].sel(phase="active")) == 1
    assert float(found["specific_surface"][0].sel(phase="active")) == 0


def test_tortuosity_of_layers() -> None:
    """Straight along layers, and none across them."""
    pytest.importorskip("taufactor")
    layers = np.broadcast_to((np.arange(24) // 4 % 2 == 0)[:, None, None], (24, 12, 12))
    for axis in (1, 2):
        assert tortuosity(layers, axis, (0.1, 0.1, 0.1)) == pytest.approx(1, rel=0.01)
    assert tortuosity(layers, 0, (0.1, 0.1, 0.1)) == np.inf


def test_tortuosity_of_a_detour() -> None:
    """Walls with shifted slits, in two resolutions along one axis: the path does not depend on the voxels."""
    pytest.importorskip("taufactor")
    mask = np.ones((20, 20, 4), bool)
    mask[5:7, :14], mask[13:15, 6:] = False, False
    cubic = tortuosity(mask, 0, (0.1, 0.1, 0.1))
    fine = tortuosity(np.repeat(mask, 2, axis=1), 0, (0.1, 0.05, 0.1))
    assert cubic > 2
    assert fine == pytest.approx(cubic, rel=0.1)


def test_tortuosity_of_a_field_and_its_parts(tmp_path: Path) -> None:
    pytest.importorskip("taufactor")
    phases = np.broadcast_to(np.where(np.arange(32) // 8 % 2 == 0, 0, 2)[:, None], (32, 32, 16))
    path = stored(tmp_path / "f.zarr", phases, (0.1, 0.1, 0.1))
    found = measure_structure(path, options=StructureOptions(tortuosity=True))
    np.testing.assert_allclose(found["tortuosity"].sel(axis="z"), 1, rtol=0.01)
    assert np.isnan(found["tortuosity"].sel(axis="y")).all()
    assert found["conducting"].sel(axis="z", network="pore").to_numpy().tolist() == [1, 4]


def test_without_taufactor_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tomostat.structure.kernels import tortuosity as kernel

    monkeypatch.setattr(kernel, "find_spec", lambda name: None)
    study = study_of_volume(None, tmp_path / "out", spacing=0.1, labels=tmp_path / "none.tif").with_options(
        structure=StructureOptions(tortuosity=True)
    )
    with pytest.raises(ValueError, match=r"pip install tomostat\[tortuosity\]"):
        pipeline.check_inputs(study, ["structure"])


@pytest.mark.parametrize(
    ("name", "codes", "expected"),
    [
        ("electrode_phases_256.tif", {0: "pore", 85: "active", 170: "cbd"}, {"pore": 0.45, "active": 0.4, "cbd": 0.15}),
        pytest.param("nmc_phases.tif", {0: "pore", 1: "active", 2: "cbd"}, {}, marks=pytest.mark.slow),
    ],
)
def test_real_phases(name: str, codes: dict[int, str], expected: dict[str, float], data: Path, tmp_path: Path) -> None:
    """Fractions of published phases, and convergence: parts spread more the smaller they are."""
    image = tifffile.imread(data / name)[:128, :128, :128]
    tifffile.imwrite(tmp_path / "phases.tif", image, photometric="minisblack")
    study = study_of_volume(
        None, tmp_path / "out", spacing=0.4, phases_image=tmp_path / "phases.tif", phase_codes=codes
    )
    layout = pipeline.run(study, stages=["ingest", "phases"])
    found = measure_structure(layout.volume("phases"))
    for value, phase in codes.items():
        share = float(found["fraction"][0].sel(phase=phase))
        assert share == pytest.approx((image == value).mean())
        assert share == pytest.approx(expected.get(phase, share), abs=0.05)
        assert (np.diff(found["fraction_std"][1:].sel(phase=phase)) > 0).all()
