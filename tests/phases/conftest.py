"""Volumes on disk for the tests of the phases stage."""

from __future__ import annotations

import pytest

from tomostat.volume import create_volume, store, write_box


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Write a grey array as a volume; with small shards, so that many blocks are made."""

    def write(grey, name="v", small=False):
        if small:
            monkeypatch.setattr(store, "CHUNK", (8, 16, 16))
            monkeypatch.setattr(store, "SHARD", (16, 32, 32))
        path = tmp_path / f"{name}.zarr"
        create_volume(path, shape=grey.shape, dtype=grey.dtype, spacing=(0.2, 0.2, 0.2))
        write_box(path, (0, 0, 0), grey)
        return path

    return write
