"""Random options make images that a network can learn from."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import ndimage

from properties import examples
from tomostat.phantom import make_scene, random_options, render
from tomostat.phase import Phase


@given(st.integers(0, 2**32 - 1))
@examples(2)
def test_random_options_make_electrodes_with_bright_particles(seed):
    options = random_options(np.random.default_rng(seed), shape=(6, 64, 64))
    grey, labels, phases = render(make_scene(options), (0, 0, 0), (6, 64, 64))
    core = ndimage.binary_erosion(phases == Phase.ACTIVE, iterations=2)
    around = np.isin(phases, (Phase.PORE, Phase.CBD)) & (labels == 0)
    assume(core.sum() > 200 and around.sum() > 200)
    assert grey[core].mean() > grey[around].mean() + 10
