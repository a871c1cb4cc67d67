"""What the network looks at: pictures and values, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from scipy import ndimage

from tomostat import cli
from tomostat.detect.initial_weights import initial_network
from tomostat.detect.kernels.maskrcnn import activation_map


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


@pytest.mark.parametrize(("weights", "stands_out"), [("accurate", 1.3), ("fast", 1.2)])
def test_outlines_are_bright_and_cracks_are_not(cracked, weights, stands_out):
    """Cracks stand back behind outlines, and more so than in the slope of the grey values."""
    grey, rim, crack, disc = cracked
    seen = activation_map(initial_network(weights), torch.from_numpy(grey[None])).numpy()
    assert seen.shape == grey.shape
    slope = ndimage.gaussian_gradient_magnitude(grey, 1.0)
    assert seen[rim].mean() / seen[crack].mean() > max(1.1, stands_out * slope[rim].mean() / slope[crack].mean())
    far = ~ndimage.binary_dilation(disc, iterations=16)
    assert seen[rim].mean() > 2 * seen[far].mean()


def test_picture_and_values_of_an_image_and_of_a_volume(tmp_path, cracked, capsys):
    grey = (200 * cracked[0]).clip(0, 255).astype(np.uint8)
    tifffile.imwrite(tmp_path / "slice.tif", grey)
    assert cli.main(["look", str(tmp_path / "slice.tif"), "--to", str(tmp_path / "out" / "map.png")]) == 0
    assert (tmp_path / "out" / "map.png").stat().st_size > 5000
    np.save(tmp_path / "stack.npy", np.stack([grey[::-1], grey, grey[::-1]]))
    for name, source in (("a.tif", "slice.tif"), ("b.npy", "stack.npy")):
        assert cli.main(["look", str(tmp_path / source), "--to", str(tmp_path / name), "--kind", "strength"]) == 0
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), np.load(tmp_path / "b.npy"))


@pytest.mark.parametrize(
    ("extra", "said"),
    [(["--to", "map.jpg"], "expected a name that ends"), (["--to", "m.npy", "--section", "4"], "has slices 0 to 0")],
)
def test_refusals(tmp_path, capsys, extra, said):
    np.save(tmp_path / "slice.npy", np.zeros((64, 64)))
    assert cli.main(["look", str(tmp_path / "slice.npy"), *extra]) == 2
    assert said in capsys.readouterr().err
    with pytest.raises(ValueError, match="kind is"):
        activation_map(initial_network(), torch.zeros(1, 64, 64), kind="edges")
