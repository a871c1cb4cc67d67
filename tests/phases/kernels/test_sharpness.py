"""Noise and blur: pairs of voxels are counted once over any blocks, and a known blur is found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, special

from tomostat.blocks import block_grid
from tomostat.phantom.options import PhantomOptions
from tomostat.phantom.rendering import render
from tomostat.phantom.scene import make_scene
from tomostat.phase import Phase
from tomostat.phases.kernels.counts import Bins
from tomostat.phases.kernels.sharpness import LAG, blur_misfits, difference_counts, edge_profiles, likeliest_blur
from volumes import whole_box


def test_every_pair_of_voxels_is_counted_once():
    rng = np.random.default_rng(0)
    grey, mask = rng.normal(size=(9, 20, 21)).astype(np.float32), rng.random((9, 20, 21)) > 0.3
    steps = Bins(0, 6, 64)
    every = difference_counts(grey, mask, whole_box(grey.shape), steps)
    parts = [
        difference_counts(grey[block.outer], mask[block.outer], block.inner, steps)
        for block in block_grid(grey.shape, (5, 6, 7), (LAG,) * 3)
    ]
    assert np.array_equal(sum(parts), every)
    pairs = (mask[LAG:] & mask[:-LAG]).sum()
    pairs += (mask[:, LAG:] & mask[:, :-LAG]).sum() + (mask[:, :, LAG:] & mask[:, :, :-LAG]).sum()
    assert every.sum() == pairs


AMBIGUOUS = {(0.8, 1), (2.0, 1), (2.0, 3)}
"""Blurs and numbers of layers where a film or a gap that every profile has alike is hard to tell from blur."""


@pytest.mark.parametrize("layers", [(), ((4, 0.3),), ((4, 0.0), (50, 0.3)), ((3, 0.3), (6, 0.0), (50, 0.3))])
@pytest.mark.parametrize("sigma", [0.8, 1.2, 2.0])
def test_films_and_gaps_do_not_pass_for_blur(sigma, layers):
    """A ball, with layers outside it as (thickness, grey value), void beyond: the same everywhere, the hardest case."""
    z, y, x = np.ogrid[-24:25, -24:25, -24:25]
    r = np.sqrt(z**2 + y**2 + x**2)
    rng = np.random.default_rng(0)
    ideal, inner = special.ndtr((16 - r) / sigma), 16
    for thickness, level in layers:
        ideal += level * (special.ndtr((r - inner) / sigma) - special.ndtr((r - inner - thickness) / sigma))
        inner += thickness
    grey = (50 + 130 * ideal + 10 * rng.normal(size=r.shape)).astype(np.float32)
    phases = np.where(r < 16, Phase.ACTIVE, Phase.PORE).astype(np.uint8)
    profiles = edge_profiles(grey, phases, 50.0, 180.0)
    assert len(profiles) > 250
    limit = (0.15 if (sigma, len(layers)) in AMBIGUOUS else 0.05) * sigma + 0.05
    assert abs(likeliest_blur(len(profiles), blur_misfits(profiles)) - sigma) < limit


@pytest.mark.parametrize("blur", [0.8, 1.2, 1.8])
@pytest.mark.parametrize("changes", [{}, {"film_thickness": 1.2}, {"contrast": "wet"}, {"noise": 0.25}])
def test_the_blur_of_an_electrode_is_found_whatever_lies_between_its_particles(blur, changes):
    """Rough, cracked particles close to each other, in porous films of three or six voxels, with gaps."""
    options = PhantomOptions(shape=(64, 96, 96), seed=7, blur=blur, **changes)
    rendered = render(make_scene(options), (0, 0, 0), options.shape)
    grey, active = rendered.grey.astype(np.float32), rendered.phases == Phase.ACTIVE
    dark, bright = (
        grey[ndimage.binary_erosion(~active, iterations=2)],
        grey[ndimage.binary_erosion(active, iterations=2)],
    )
    phases = np.where(active, Phase.ACTIVE, Phase.PORE).astype(np.uint8)
    profiles = edge_profiles(grey, phases, float(dark.mean()), float(bright.mean()))
    edge_of_voxels = 1 / 12
    found = likeliest_blur(len(profiles), blur_misfits(profiles))
    assert found == pytest.approx((blur**2 + edge_of_voxels) ** 0.5, rel=0.08)


def test_no_edges_no_blur():
    grey, phases = np.zeros((5, 9, 9), np.float32), np.zeros((5, 9, 9), np.uint8)
    profiles = edge_profiles(grey, phases, 0.0, 1.0)
    assert likeliest_blur(len(profiles), blur_misfits(profiles)) is None
