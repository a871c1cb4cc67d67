"""Volumes that are written once more for each test."""

from __future__ import annotations

import pytest

from tomostat.execution import Execution
from tomostat.volume import create_volume, pyramid_tasks, write_box


@pytest.fixture
def filled(tmp_path):
    """A volume of a given array with its pyramid."""

    def fill(array):
        path = tmp_path / "v.zarr"
        create_volume(path, shape=array.shape, dtype=array.dtype, spacing=(1.0, 0.5, 0.25))
        write_box(path, (0, 0, 0), array)
        for tasks in pyramid_tasks(path):
            Execution().run("pyramid", tasks)
        return path

    return fill
