"""Edge energies of simulated spectro-microscopy stacks, through Python and the command; bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage
from scipy.special import erf

from tomostat import cli
from tomostat.datasets import open_dataset
from tomostat.xanes import XanesOptions, valence_map

ENERGY = np.concatenate([np.arange(8200, 8330, 10.0), np.arange(8330, 8356, 1.0), np.arange(8360, 8640, 10.0)])
STANDARDS = [(8340.0, 2.0), (8343.0, 4.0)]
FINE = XanesOptions(align=False)


def spectra(edge: np.ndarray, energy: np.ndarray = ENERGY, thickness: float = 1.0) -> np.ndarray:
    """Absorption (n, ...) with a step at `edge`, where it is half of its height, on a falling background."""
    place = energy.reshape(-1, *(1,) * np.ndim(edge)) - edge
    step = 0.5 * (1 + erf(place / 3.0)) * (1 - 2e-4 * place)
    return thickness * (0.8 - 5e-4 * (energy.reshape(-1, *(1,) * np.ndim(edge)) - 8333) + step)


def electrode(size: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """True edge energies, and where the particle is."""
    y, x = np.mgrid[:size, :size] - size / 2
    return 8340 + 3 * (x + size / 2) / size, np.hypot(y, 0.8 * x) < 0.35 * size


def test_edges_and_valence_of_a_noisy_stack() -> None:
    edge, inside = electrode()
    stack = spectra(edge) * inside + 0.005 * np.random.default_rng(0).standard_normal((len(ENERGY), *edge.shape))
    found = valence_map(stack, ENERGY, standards=STANDARDS, options=FINE)
    assert np.array_equal(np.isfinite(found["edge_energy"]), inside)
    error = (found["edge_energy"].values - edge)[inside]
    assert np.abs(error).mean() < 0.1
    assert abs(error.mean()) < 0.03
    np.testing.assert_allclose(found["valence"].values[inside], (2 + (edge - 8340) * 2 / 3)[inside], atol=0.2)
    np.testing.assert_allclose(found["step"].values[inside], 1, atol=0.02)


def test_drift_is_undone() -> None:
    edge, inside = electrode(48)
    rng = np.random.default_rng(0)
    texture = 1 + 0.4 * ndimage.gaussian_filter(rng.standard_normal(edge.shape), 1.5)
    shift = np.cumsum(rng.uniform(-0.4, 0.4, (len(ENERGY), 2)), axis=0)
    shift -= shift[0]
    images = spectra(edge) * inside * texture
    moved = np.stack([ndimage.shift(image, -s, order=3) for image, s in zip(images, shift, strict=True)])
    moved += 0.003 * rng.standard_normal(moved.shape)
    found = valence_map(moved, ENERGY)
    assert np.abs(found["shift"].values - shift).max() < 0.6
    core = ndimage.binary_erosion(inside, iterations=4)
    error = (found["edge_energy"].values - edge)[core]
    assert np.nanmean(np.abs(error)) < 0.15


def test_white_line() -> None:
    energy = np.arange(8200, 8600, 1.0)
    line = np.exp(-0.5 * ((energy - 8350.3) / 4) ** 2)
    stack = (spectra(np.array(8345.0), energy) + 0.8 * line)[:, None, None]
    found = valence_map(stack, energy, options=XanesOptions(method="white_line", align=False))
    assert found["edge_energy"].item() == pytest.approx(8350.3, abs=0.3)


def test_blocks_change_nothing() -> None:
    edge, inside = electrode(80)
    stack = spectra(edge) * inside
    whole = valence_map(stack, ENERGY, options=FINE)
    part = valence_map(stack[:, 10:30], ENERGY, options=FINE)
    both = np.isfinite(part["edge_energy"].values)
    np.testing.assert_array_equal(whole["edge_energy"].values[10:30][both], part["edge_energy"].values[both])


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edge, inside = electrode()
    tifffile.imwrite(tmp_path / "stack.tif", (spectra(edge) * inside).astype(np.float32), photometric="minisblack")
    np.savetxt(tmp_path / "energy.txt", ENERGY)
    words = ["xanes", str(tmp_path / "stack.tif"), str(tmp_path / "energy.txt"), "--to", str(tmp_path / "out")]
    assert cli.main([*words, "--standards", "8340=2", "8343=4", "--no-align"]) == 0
    assert "edge energy" in capsys.readouterr().out
    valence = tifffile.imread(tmp_path / "out" / "valence.tif")
    np.testing.assert_allclose(valence[inside], (2 + (edge - 8340) * 2 / 3)[inside], atol=0.2)
    stored = open_dataset(tmp_path / "out" / "xanes.zarr", "map", "tomostat xanes")
    assert stored["edge_energy"].attrs["units"] == "eV"
    assert cli.main([*words, "--standards", "8340"]) == 2
    assert "expected ENERGY=VALENCE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("energy", "words"),
    [
        (ENERGY[::-1], "not ascending"),
        (np.r_[ENERGY[:-1], ENERGY[-2]], "not ascending"),
        (ENERGY / 1000, "looks like keV"),
        (ENERGY + 500, "lies outside the energies"),
        (ENERGY[:-1], r"energy \(66,\)"),
        (np.linspace(8200, 8381, len(ENERGY)), "energies lie 50 to 300 eV from the edge"),
    ],
)  # fmt: skip
def test_energies_that_are_refused(energy: np.ndarray, words: str) -> None:
    stack = spectra(np.full((4, 4), 8341.0))
    with pytest.raises(ValueError, match=words):
        valence_map(stack, energy, options=FINE)


def test_spectra_without_an_edge_and_bad_standards_are_refused() -> None:
    rng = np.random.default_rng(0)
    flat = 1 - 1e-4 * (ENERGY - 8200)[:, None, None] + np.zeros((len(ENERGY), 5, 5))
    with pytest.raises(ValueError, match="no pixel has an edge"):
        valence_map(flat, ENERGY, options=FINE)
    with pytest.raises(ValueError, match="no pixel has an edge"):
        valence_map(-spectra(np.full((4, 4), 8341.0)), ENERGY, options=FINE)
    stack = spectra(np.full((4, 4), 8341.0)) + 0 * rng.random((len(ENERGY), 4, 4))
    with pytest.raises(ValueError, match="two or more with different edge energies"):
        valence_map(stack, ENERGY, standards=[(8340.0, 2.0)], options=FINE)
    for bad in ({"order": 3}, {"method": "top"}, {"pre": (-10.0, -50.0)}, {"post": (-1.0, 50.0)}, {"edge": 8.333}):
        (name,) = bad
        with pytest.raises(ValueError, match=f"^{name} is"):
            XanesOptions(**bad)  # type: ignore[arg-type]
