"""Activation maps: bright outlines and dark cracks, pictures and values, and what is refused."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest
import tifffile
import torch
from matplotlib.image import imread
from scipy import ndimage

from tomostat import cli
from tomostat.activation import write_activation
from tomostat.detect.initial_weights import initial_network
from tomostat.detect.kernels.activation import activation_map


@pytest.fixture(scope="module")
def cracked():
    """A bright disc with a dark crack in noise, and the rims of the disc and of the crack."""
    yy, xx = np.mgrid[:160, :192]
    disc = np.hypot(yy - 80, xx - 96) < 40
    crack = disc & (np.abs(xx - 96) < 2) & (np.abs(yy - 80) < 25)
    grey = ndimage.gaussian_filter(0.2 + 0.6 * (disc & ~crack), 1.0) + np.random.default_rng(0).normal(
        0, 0.05, disc.shape
    )
    rim = ndimage.binary_dilation(disc, iterations=4) & ~ndimage.binary_erosion(disc, iterations=4)
    return grey.astype(np.float32), rim, ndimage.binary_dilation(crack, iterations=3), disc


@pytest.mark.network
@pytest.mark.parametrize(("weights", "contrast"), [("accurate", 1.3), ("fast", 1.2)])
def test_outlines_are_bright_and_cracks_are_not(cracked, weights, contrast):
    """Outlines are brighter than cracks, and by more than in the gradient of the grey values."""
    grey, rim, crack, disc = cracked
    values = activation_map(initial_network(weights), torch.from_numpy(grey[None])).numpy()
    assert values.shape == grey.shape
    slope = ndimage.gaussian_gradient_magnitude(grey, 1.0)
    assert values[rim].mean() / values[crack].mean() > max(1.1, contrast * slope[rim].mean() / slope[crack].mean())
    far = ~ndimage.binary_dilation(disc, iterations=16)
    assert values[rim].mean() > 2 * values[far].mean()


@pytest.mark.network
def test_the_picture_shows_slice_and_map(tmp_path, cracked):
    """Left the slice in grey, right the map in colour, bright at the outline of the disc and dark far from it."""
    tifffile.imwrite(tmp_path / "slice.tif", cracked[0])
    values = write_activation(tmp_path / "slice.tif", tmp_path / "out" / "map.png")
    picture = imread(tmp_path / "out" / "map.png")[..., :3]
    coloured = np.ptp(picture, axis=2) > 0.1
    left, right = np.array_split(coloured, 2, axis=1)
    assert left.mean() < 0.02
    assert right.mean() > 0.4
    brightest = matplotlib.colormaps["inferno"](float(values.max()))[:3]
    assert np.abs(picture - np.array(brightest, np.float32)).max(axis=2).min() < 0.02


@pytest.mark.network
def test_values_of_an_image_and_of_a_volume(tmp_path, cracked):
    """The middle slice of a volume has the map of the same image alone."""
    grey = (200 * cracked[0]).clip(0, 255).astype(np.uint8)
    tifffile.imwrite(tmp_path / "slice.tif", grey)
    np.save(tmp_path / "stack.npy", np.stack([grey[::-1], grey, grey[::-1]]))
    for name, source in (("a.tif", "slice.tif"), ("b.npy", "stack.npy")):
        tokens = [str(tmp_path / source), "--to", str(tmp_path / name), "--kind", "strength"]
        assert cli.main(["activation", *tokens]) == 0
    values = np.load(tmp_path / "b.npy")
    assert (values.dtype, values.shape) == (np.float32, grey.shape)
    assert (values.min(), values.max()) == (0, 1)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), values)


def test_the_former_name_of_the_command_still_works(tmp_path, monkeypatch, caplog):
    calls = []
    monkeypatch.setattr("tomostat.activation.write_activation", lambda *given, **options: calls.append(given))
    assert cli.main(["look", "slice.tif", "--to", str(tmp_path / "map.png")]) == 0
    assert calls == [(Path("slice.tif"), tmp_path / "map.png")]
    assert "`tomostat look` is now `tomostat activation`" in caplog.text


@pytest.mark.parametrize(
    ("extra", "words"),
    [(["--to", "map.jpg"], "expected a name that ends"), (["--to", "m.npy", "--section", "4"], "has slices 0 to 0")],
)
def test_refusals(tmp_path, capsys, extra, words):
    np.save(tmp_path / "slice.npy", np.zeros((64, 64)))
    assert cli.main(["activation", str(tmp_path / "slice.npy"), *extra]) == 2
    assert words in capsys.readouterr().err
    with pytest.raises(ValueError, match="kind is"):
        activation_map(initial_network(), torch.zeros(1, 64, 64), kind="edges")
