"""Scenes: the same for the same options, with the content that the options give."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from shapes import FAULTY_ELECTRODE, IDEAL_IMAGE, SMALL_ELECTRODE, render_all
from tomostat.phantom import make_scene, truth_table
from tomostat.phantom.options import PhantomOptions
from tomostat.phase import Phase


def test_same_options_give_the_same_electrode_and_other_seeds_another(faulty, faulty_voxels):
    again = make_scene(FAULTY_ELECTRODE)
    assert all(np.array_equal(a, b) for a, b in zip(again.particles, faulty.particles, strict=True))
    other = make_scene(dataclasses.replace(FAULTY_ELECTRODE, seed=6))
    assert not np.array_equal(render_all(other).grey, faulty_voxels.grey)


def test_labels_count_up_by_position_and_all_show(faulty, faulty_voxels, many):
    labels = faulty_voxels.labels
    assert labels.dtype == np.uint32
    assert np.array_equal(np.unique(labels), np.arange(faulty.count + 1))
    centres = many.particles.centre[: many.count]
    assert np.array_equal(np.lexsort(centres.T[::-1]), np.arange(many.count))


def test_particles_touch_as_often_as_given(fine):
    table = truth_table(fine)
    assert (table.contact_particle > 0.002).mean() > 0.3
    apart = make_scene(dataclasses.replace(fine.options, touching=0.0, film_thickness=0.6))
    assert truth_table(apart).contact_particle.max() < 0.02


@pytest.mark.parametrize(
    ("active", "cbd"),
    [*(pytest.param(*shares, marks=pytest.mark.slow) for shares in ((0.2, 0.15), (0.35, 0.3))), (0.45, 0.24)],
)
def test_volume_fractions_are_those_of_the_options(active, cbd):
    options = PhantomOptions(
        shape=(100, 100, 100),
        spacing=(0.3,) * 3,
        diameters=(5.0, 9.0),
        active_fraction=active,
        cbd_fraction=cbd,
        **IDEAL_IMAGE,
    )
    volume = render_all(make_scene(options))
    assert (volume.labels > 0).mean() == pytest.approx(active, abs=0.04)
    assert (volume.phases == Phase.CBD).mean() == pytest.approx(cbd, abs=0.012)


def test_cracks_and_cores_are_void_inside_labels():
    damaged = PhantomOptions(**SMALL_ELECTRODE, **IDEAL_IMAGE, seed=1, hollow=1.0, cracked=1.0, fragmented=0.5)
    sound = dataclasses.replace(damaged, hollow=0.0, cracked=0.0, fragmented=0.0, crumbled=0.0)
    voids = []
    for options in (damaged, sound):
        volume = render_all(make_scene(options))
        inside = volume.labels > 0
        assert set(np.unique(volume.phases[inside])) <= {Phase.PORE, Phase.ACTIVE}
        assert not (volume.phases[~inside] == Phase.ACTIVE).any()
        voids.append((volume.phases[inside] == Phase.PORE).mean())
    assert voids[0] > 0.05
    assert voids[1] < 0.02
    table = truth_table(make_scene(damaged))
    assert table.hollow.all()
    assert table.cracked.all()
    assert 0 < table.fragmented.mean() < 1


def test_collector_and_headspace_bound_the_electrode():
    options = PhantomOptions(**SMALL_ELECTRODE, **IDEAL_IMAGE, collector=1.0, headspace=2.0, depth_axis=2)
    scene = make_scene(options)
    volume = render_all(scene)
    assert (volume.phases[..., :5] == Phase.COLLECTOR).all()
    assert not (volume.phases[..., 5:] == Phase.COLLECTOR).any()
    assert not volume.labels[..., -10:].any()
    above = volume.phases[..., -9:]
    assert (above == Phase.PORE).mean() > 0.9
    assert truth_table(scene).contact_collector.between(0, 1).all()


def test_an_electrode_without_particles():
    scene = make_scene(PhantomOptions(**{**SMALL_ELECTRODE, "active_fraction": 0.0}))
    volume, table = render_all(scene), truth_table(scene)
    assert not volume.labels.any()
    assert len(table) == 0
    assert list(table.columns) == list(truth_table(make_scene(FAULTY_ELECTRODE)).columns)


def test_kernels_load_without_dask_and_zarr():
    code = (
        "import sys; from tomostat.phantom import make_scene, render, random_options, truth_table; "
        "assert not {'dask', 'zarr', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
