"""A folder with an image."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile


@pytest.fixture
def folder(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (60, 80)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image)
    return tmp_path
