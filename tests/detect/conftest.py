"""What several modules detect with, and detect in."""

from __future__ import annotations

import numpy as np
import pytest

from networks import EAGER
from tomostat.detect.checkpoint import TrainingRecord, save_checkpoint
from tomostat.detect.kernels.maskrcnn import build
from tomostat.phase import Phase, PhaseFit, PhaseLevels
from tomostat.volume import create_volume, write_box

FIT = PhaseFit(levels=PhaseLevels(pore=50.0, active=200.0), percentiles=(50.0, 200.0), noise=1.0)


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A checkpoint with random weights that detects something."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_checkpoint(path, build(EAGER, seed=3), training=TrainingRecord(step=7))
    return path


@pytest.fixture
def volume(tmp_path):
    """A volume of squares whose phases are known: its path, grey values and phases."""
    grey = np.full((7, 64, 64), 50, np.uint8)
    phases = np.zeros(grey.shape, np.uint8)
    for z in range(7):
        for k in range(1 + z % 3):
            box = (z, slice(5 + z, 20 + z), slice(4 + 20 * k, 18 + 20 * k))
            grey[box], phases[box] = 200, Phase.ACTIVE
    path = tmp_path / "field.zarr"
    for label, array in ((None, grey), ("phases", phases)):
        attributes = FIT.record() if label else {}
        create_volume(path, shape=grey.shape, dtype="uint8", spacing=(1, 1, 1), label=label, attributes=attributes)
        write_box(path, (0, 0, 0), array, label)
    return path, grey, phases
