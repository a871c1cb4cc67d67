"""Ground truth: the voxels confirm it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from shapes import SMALL_ELECTRODE, render_all
from tomostat.phantom import make_scene, truth_table
from tomostat.phantom.options import PhantomOptions
from tomostat.phase import Phase


def measured_detachment(labels: np.ndarray, phases: np.ndarray, label: int) -> float:
    """Detachment from perfect phases: boundary faces weighted by the normal, phase 1.2 voxels out."""
    box = tuple(slice(max(s.start - 8, 0), s.stop + 8) for s in ndimage.find_objects((labels == label).astype(int))[0])
    mask = labels[box] == label
    soft = ndimage.gaussian_filter(mask.astype(float), 1.5)
    gradient = [-slope for slope in np.gradient(soft)]
    area = contact = 0.0
    for axis in range(3):
        for sign in (1, -1):
            face = mask & ~np.roll(mask, -sign, axis)
            points = np.argwhere(face).astype(float)
            points[:, axis] += 0.5 * sign
            normals = np.stack([ndimage.map_coordinates(g, points.T, order=1) for g in gradient], -1)
            normals /= np.linalg.norm(normals, axis=1, keepdims=True)
            weight = np.abs(normals[:, axis])
            out = np.rint(points + 1.2 * normals).astype(int).clip(0, np.array(mask.shape) - 1)
            on_cbd = phases[box][tuple(out.T)] == Phase.CBD
            area += weight.sum()
            contact += weight[on_cbd].sum()
    return 1 - contact / area


def test_volume_of_bumpy_particles_is_the_integral(fine):
    table, labels = truth_table(fine), render_all(fine).labels
    inner = table[~table.touches_border]
    counted = np.bincount(labels.ravel())[inner.label] * 0.1**3
    assert len(inner) >= 3
    np.testing.assert_allclose(counted, inner.volume, rtol=0.005)
    centroids = np.array(ndimage.center_of_mass(labels > 0, labels, inner.label)) * 0.1
    np.testing.assert_allclose(centroids, inner[["z", "y", "x"]], atol=0.03)


def test_border_flags_agree_with_the_voxels(faulty, fine):
    for scene in (faulty, fine):
        labels = render_all(scene).labels
        if scene.options.circle:  # beside the circle counts as border too
            outside = render_all(scene).phases == Phase.OUTSIDE
            at_border = ndimage.binary_dilation(outside, np.ones((1, 3, 3)))
        else:
            at_border = np.zeros(labels.shape, bool)
        for axis in range(3):
            np.moveaxis(at_border, axis, 0)[[0, -1]] = True
        touching = np.isin(np.arange(1, scene.count + 1), labels[at_border])
        flags = truth_table(scene).touches_border.to_numpy()
        assert flags[touching].all()
        assert (flags & ~touching).sum() <= 0.1 * scene.count + 1


def test_true_detachment_is_what_perfect_phases_show(fine):
    volume, table = render_all(fine), truth_table(fine)
    inner = table[~table.touches_border]
    measured = np.array([measured_detachment(volume.labels, volume.phases, label) for label in inner.label])
    error = measured - inner.detachment.to_numpy()
    assert inner.detachment.std() > 0.05
    assert np.abs(error).mean() < 0.01  # voxels of 1/50 diameter
    assert np.abs(error).max() < 0.02


def test_true_crack_fraction_is_that_of_the_voxels(fine):
    volume, table = render_all(fine), truth_table(fine)
    count = np.bincount(volume.labels.ravel(), minlength=fine.count + 1)
    void = np.bincount(volume.labels[volume.phases == Phase.PORE], minlength=fine.count + 1)
    inner = table[~table.touches_border]
    np.testing.assert_allclose(inner.crack_fraction, (void / count)[inner.label], atol=0.01)


def test_true_resistance_grows_with_the_gap(fine):
    table = truth_table(fine)
    figures = table[["resistance_mean", "resistance_std", "resistance_max"]]
    assert figures[table.touches_border].isna().all(axis=None)
    inner = table[~table.touches_border]
    assert (inner.resistance_mean < inner.resistance_max).all()
    assert (inner.resistance_mean < inner.detachment * inner.resistance_max).all()
    apart = PhantomOptions(**SMALL_ELECTRODE, detachment_mean=1.0, touching=0.0)
    assert truth_table(make_scene(apart)).resistance_mean.isna().all()


@pytest.mark.slow
def test_true_detachment_follows_the_intended(many):
    table = truth_table(many)
    inner = table[~table.touches_border]
    assert len(inner) > 25
    assert np.corrcoef(inner.detachment, inner.intended_detachment)[0, 1] > 0.9
    assert inner.detachment.mean() == pytest.approx(inner.intended_detachment.mean(), abs=0.06)
    shares = inner.contact_cbd + inner.detachment
    np.testing.assert_allclose(shares, 1)


@pytest.mark.parametrize("mean", [0.0, 1.0])
def test_extreme_detachment_is_exact(mean):
    options = PhantomOptions(**SMALL_ELECTRODE, detachment_mean=mean, touching=0.0, cbd_fraction=0.4)
    table = truth_table(make_scene(options))
    beside = table.contact_particle if mean == 0 else 0.0  # two films thick, but some particles find no more room
    np.testing.assert_allclose(table.detachment, mean + beside, atol=1e-9)
    assert table.contact_particle.max() < 0.02


@pytest.mark.slow
def test_conditions_differ_and_small_particles_spread_more():
    def draw(mean: float) -> tuple[np.ndarray, np.ndarray]:  # diameters, degrees
        scene = make_scene(PhantomOptions(shape=(160, 300, 300), diameters=(4.0, 16.0), detachment_mean=mean, seed=4))
        return truth_table(scene, rays=100).equivalent_diameter.to_numpy(), scene.intended[: scene.count]

    mild, severe = draw(0.2), draw(0.5)
    assert severe[1].mean() - mild[1].mean() > 0.2
    small, big = (severe[1][sieve] for sieve in (severe[0] < 8, severe[0] > 12))
    assert small.std() > big.std()


def test_surface_cut_by_the_field_counts_neither_way():
    whole_field = make_scene(PhantomOptions(**SMALL_ELECTRODE, detachment_mean=1.0, touching=0.0, seed=3))
    table = truth_table(whole_field)
    assert table.touches_border.any()
    np.testing.assert_allclose(table.detachment.dropna(), 1.0, atol=1e-9)
