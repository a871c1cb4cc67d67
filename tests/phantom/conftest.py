"""Synthetic electrodes that several tests use."""

from __future__ import annotations

import pytest

from shapes import FAULTY_ELECTRODE, IDEAL_IMAGE, render_all
from tomostat.phantom import PhantomOptions, Rendered, Scene, make_scene


@pytest.fixture(scope="session")
def faulty() -> Scene:
    return make_scene(FAULTY_ELECTRODE)


@pytest.fixture(scope="session")
def faulty_voxels(faulty: Scene) -> Rendered:
    return render_all(faulty)


@pytest.fixture(scope="session")
def fine() -> Scene:
    """Whole particles of 40 to 65 voxels, smooth and perfect."""
    options = PhantomOptions(
        shape=(150, 150, 150), spacing=(0.1,) * 3, diameters=(4.0, 6.5), gap_width=(0.25, 0.5), film_thickness=0.3,
        roughness=0.02, touching=0.3, active_fraction=0.45, detachment_mean=0.4, seed=8, **IDEAL_IMAGE,
    )  # fmt: skip
    return make_scene(options)


@pytest.fixture(scope="session")
def many() -> Scene:
    """Some hundred particles; only its ground truth is used, not its voxels."""
    return make_scene(PhantomOptions(shape=(160, 160, 160), diameters=(4.0, 10.0), seed=2, detachment_mean=0.3))
