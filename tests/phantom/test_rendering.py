"""Rendering: the same voxels for any box, grey values of known density, artefacts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from properties import examples
from shapes import FAULTY_ELECTRODE, IDEAL_IMAGE, SMALL_ELECTRODE, render_all
from tomostat.phantom import density_calibration, make_scene, render, truth_table
from tomostat.phantom.options import PhantomOptions
from tomostat.phantom.rendering import contrast as relative_levels
from tomostat.phase import Phase


@given(st.data())
@examples(12)
def test_any_block_holds_the_voxels_of_the_whole(faulty, faulty_voxels, data):
    start = [data.draw(st.integers(0, n - 1)) for n in FAULTY_ELECTRODE.shape]
    shape = [data.draw(st.integers(1, n - s)) for n, s in zip(FAULTY_ELECTRODE.shape, start, strict=True)]
    block = render(faulty, start, shape)
    box = tuple(slice(s, s + n) for s, n in zip(start, shape, strict=True))
    for part, of in zip(block, faulty_voxels, strict=True):
        assert np.array_equal(part, of[box])
        assert part.dtype == of.dtype


def test_render_refuses_empty_blocks(faulty):
    with pytest.raises(ValueError, match="shape positive"):
        render(faulty, (0, 0, 0), (4, 0, 4))
    with pytest.raises(ValueError, match="three integers"):
        render(faulty, (0, 0), (4, 4, 4))


@pytest.mark.parametrize(
    ("dtype", "contrast"),
    [
        ("uint8", "dry"),
        ("uint16", "wet"),
        pytest.param("uint8", "wet", marks=pytest.mark.slow),
        pytest.param("uint16", "dry", marks=pytest.mark.slow),
    ],
)
def test_grey_values_carry_density(contrast, dtype):
    options = PhantomOptions(
        **SMALL_ELECTRODE, **IDEAL_IMAGE, contrast=contrast, dtype=dtype, density_spread=0.0, collector=1.0
    )
    volume = render_all(make_scene(options))
    scale, offset = density_calibration(options)
    pore = 0.88e-6 if contrast == "wet" else 0.0
    expected = {
        Phase.PORE: pore,
        Phase.CBD: 0.6 * 1.33e-6 + 0.4 * pore,
        Phase.ACTIVE: 3.31e-6,
        Phase.COLLECTOR: 1.88e-6,
    }
    assert volume.grey.dtype == dtype
    for phase, delta in expected.items():
        levels = np.unique(volume.grey[volume.phases == phase])
        assert len(levels) == 1
        assert levels[0] * scale + offset == pytest.approx(delta, abs=0.51 * scale)


def test_carbon_binder_nearly_vanishes_when_wet():
    dry, wet = (relative_levels(PhantomOptions(contrast=state))[Phase.CBD] for state in ("dry", "wet"))
    assert dry == pytest.approx(0.241, abs=0.001)
    assert wet == pytest.approx(0.111, abs=0.001)


def test_noise_has_the_given_strength():
    clean = PhantomOptions(**SMALL_ELECTRODE, seed=1, dtype="uint16", noise=0.0)
    grey = [render_all(make_scene(dataclasses.replace(clean, noise=level))).grey.astype(float) for level in (0.0, 0.1)]
    span = (clean.grey_levels[1] - clean.grey_levels[0]) * 65535
    assert (grey[1] - grey[0]).std() / span == pytest.approx(0.1, rel=0.03)


def test_rings_are_round_and_shading_is_slow():
    empty = {**SMALL_ELECTRODE, "active_fraction": 0.0, "cbd_fraction": 0.0, "dtype": "uint16", **IDEAL_IMAGE}
    rings = render_all(make_scene(PhantomOptions(**empty, rings=0.1))).grey.astype(float)
    assert rings.std() > 0
    turned = np.swapaxes(rings[:, :, 4:52], 1, 2)  # the rings' centre lies in the middle of the slice
    np.testing.assert_allclose(rings[:, :, 4:52], turned, atol=1.0)
    shading = render_all(make_scene(PhantomOptions(**empty, shading=0.5))).grey.astype(float)
    assert np.ptp(shading) > 1000
    assert np.abs(np.diff(shading, axis=2)).max() < 0.1 * np.ptp(shading)


def test_outside_the_circle_all_is_blank(faulty_voxels):
    grey, labels, phases = faulty_voxels
    outside = phases == Phase.OUTSIDE
    y, x = np.ogrid[:48, :56]
    assert np.array_equal(outside[0], np.hypot(y - 23.5, x - 27.5) > 0.9 * 24)
    assert len(np.unique(grey[outside])) == 1
    assert not labels[outside].any()


def test_particles_differ_in_density_as_the_table_says():
    options = PhantomOptions(**SMALL_ELECTRODE, **IDEAL_IMAGE, density_spread=0.1, dtype="uint16")
    scene = make_scene(options)
    volume, table = render_all(scene), truth_table(scene)
    scale, offset = density_calibration(options)
    solid = np.where(volume.phases == Phase.ACTIVE, volume.labels, 0)
    delta = ndimage.mean(volume.grey * scale + offset, solid, table.label)
    np.testing.assert_allclose(delta / 3.31e-6, table.density, rtol=2e-3)
