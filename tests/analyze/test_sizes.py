"""Percentiles of the size against numpy, under border weights, and on a population that others measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tables import particle_table
from tomostat.analyze.options import AnalyzeOptions
from tomostat.analyze.sizes import sizes
from tomostat.analyze.table import read_table

OPTIONS = AnalyzeOptions(resamples=100)


def of_diameters(diameter: np.ndarray, **columns: np.ndarray):
    columns = {"detachment": np.full(len(diameter), np.nan), "equivalent_diameter": diameter, **columns}
    return sizes(read_table(particle_table(columns), OPTIONS), OPTIONS)


def test_by_number_and_by_volume() -> None:
    """One large particle among ten: a tenth by number, most of the volume."""
    diameter = np.array([1.0] * 9 + [10.0])
    found = of_diameters(diameter)["size_percentile"].isel(condition=0)
    assert found.sel(weighting="number", percentile=50).item() == 1
    assert found.sel(weighting="volume", percentile=10).item() == 10
    assert found.attrs["units"] == "micrometer"


def test_against_numpy() -> None:
    diameter = np.random.default_rng(0).lognormal(2, 0.4, 400)
    found = of_diameters(diameter).isel(condition=0)
    for weighting, weights in {"number": None, "volume": diameter**3}.items():
        expected = np.quantile(diameter, [0.1, 0.5, 0.9], weights=weights, method="inverted_cdf")
        np.testing.assert_allclose(found["size_percentile"].sel(weighting=weighting), expected, rtol=0.01)
        low, middle, high = found["size_percentile"].sel(weighting=weighting).to_numpy()
        assert found["size_span"].sel(weighting=weighting).item() == pytest.approx((high - low) / middle)
        interval = found["size_percentile_interval"].sel(weighting=weighting)
        assert (interval[:, 0] <= found["size_percentile"].sel(weighting=weighting)).all()


def test_border_weights_count() -> None:
    """Cut particles are left out, and a weight of two counts like two particles."""
    found = of_diameters(
        np.array([1.0, 2.0, 3.0, 9.0]),
        border_weight=np.array([1.0, 1.0, 2.0, 5.0]),
        touches_border=np.array([False, False, False, True]),
    )
    twice = of_diameters(np.array([1.0, 2.0, 3.0, 3.0]))
    np.testing.assert_array_equal(found["size_percentile"], twice["size_percentile"])


def test_without_a_whole_particle() -> None:
    found = of_diameters(np.array([4.0, 5.0]), touches_border=np.array([True, True]))
    assert np.isnan(found["size_percentile"]).all()


def test_sand_of_hamburg(data: Path) -> None:
    """8037 grains of quartz that Sand Atlas published: percentiles, and its ratios of axes and compactness."""
    grains = pd.read_csv(data / "sand_hamburg_grains.csv")
    volume = grains["Volume (µm³)"].to_numpy()
    diameter = np.cbrt(6 * volume / np.pi)
    np.testing.assert_allclose(diameter, grains["Equivalent Diameter (µm)"], rtol=1e-6)
    found = of_diameters(diameter)["size_percentile"].isel(condition=0)
    by_number = np.percentile(diameter, [10, 50, 90])
    by_volume = np.quantile(diameter, [0.1, 0.5, 0.9], weights=volume, method="inverted_cdf")
    np.testing.assert_allclose(found.sel(weighting="number"), by_number, rtol=1e-3)
    np.testing.assert_allclose(found.sel(weighting="volume"), by_volume, rtol=1e-3)
    long, middle, short = (grains[f"{name} Axis Length (µm)"] for name in ("Major", "Middle", "Minor"))
    np.testing.assert_allclose(middle / long, grains["Elongation (-)"], rtol=1e-6)
    np.testing.assert_allclose(short / middle, grains["Flatness (-)"], rtol=1e-6)
    small = volume < 65_536 * 11**3  # the square of the voxels of larger grains overflowed 32 bits there
    cubed = grains["True Sphericity (-)"] ** 3
    np.testing.assert_allclose(cubed[small], grains["Compactness (-)"][small], rtol=1e-5)
