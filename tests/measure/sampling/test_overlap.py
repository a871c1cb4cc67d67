"""Overlapping fields: each particle counts once, whatever the order of the fields."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from shapes import SPACINGS, Spacing, places
from tomostat.datasets import counted_once, open_particles
from tomostat.detect.options import DetectOptions
from tomostat.measure.sampling.overlap import mark_repeats, match_fields, seen_elsewhere, shared_volume
from tomostat.measure.table import concatenate_particles, make_table
from tomostat.phantom import simulate_volume
from tomostat.phantom.options import PhantomOptions
from tomostat.pipeline import FIELD_STAGES, run
from tomostat.study import Field, Sample, Study
from tomostat.volume import describe, open_volume

Labels = NDArray[np.int64]


def electrode(seed: int, shape: tuple[int, int, int] = (40, 100, 100)) -> Labels:
    """Balls of radius 5 to 9 that do not overlap, all inside."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int64)
    z, y, x = np.ogrid[tuple(map(slice, shape))]
    for _ in range(300):
        radius = rng.uniform(5, 9)
        a, b, c = (rng.uniform(radius, n - 1 - radius) for n in shape)
        ball = (z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2 <= radius**2
        if not labels[ball].any():
            labels[ball] = labels.max() + 1
    return labels


def see(labels: Labels, low: Sequence[int], high: Sequence[int], spacing: Spacing, name: str) -> xr.Dataset:
    """The table of a field that shows part of an electrode; its labels are the true ones."""
    part = labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    numbers = np.unique(part)[1:]
    sides = [part.take(side, axis) for axis in (1, 2) for side in (0, -1)]
    volume = np.bincount(part.ravel())[numbers] * np.prod(spacing)
    columns = {
        "label": numbers,
        "centroid": np.array(ndimage.center_of_mass(part > 0, part, numbers)).reshape(-1, 3) * spacing,
        "equivalent_diameter": np.cbrt(6 * volume / np.pi),
        "touches_border": np.isin(numbers, np.concatenate([side.ravel() for side in sides])),
        "field": np.full(len(numbers), name),
        "sample": np.full(len(numbers), "cell"),
    }
    return make_table(columns, len(numbers), {})


def fields(labels: Labels, spacing: Spacing, overlap: int) -> tuple[list[xr.Dataset], dict[str, NDArray[np.float64]]]:
    """Four fields, two by two, that overlap their neighbours."""
    tables, offsets = [], {}
    half = labels.shape[1] // 2 + overlap // 2
    for i, j in itertools.product((0, 1), repeat=2):
        low = (0, i * (labels.shape[1] - half), j * (labels.shape[2] - half))
        name = f"field-{i}{j}"
        tables.append(see(labels, low, (labels.shape[0], low[1] + half, low[2] + half), spacing, name))
        offsets[name] = (np.array(low) - (7, 3, 40)) * spacing
    return tables, offsets


@pytest.mark.parametrize("spacing", SPACINGS[:2])
@pytest.mark.parametrize("seed", range(3))
def test_every_particle_counts_once(seed: int, spacing: Spacing) -> None:
    labels = electrode(seed)
    tables, offsets = fields(labels, spacing, overlap=24)
    marked = mark_repeats(tables, offsets)
    kept = np.concatenate([counted_once(table)["label"].to_numpy() for table in marked])
    assert sorted(kept.tolist()) == list(range(1, labels.max() + 1))
    assert sum(table.sizes["particle"] for table in marked) > labels.max() * 1.3
    assert not np.concatenate([counted_once(table)["touches_border"].to_numpy() for table in marked]).any()


@pytest.mark.parametrize("seed", range(3))
def test_of_elongated_particles_only_slivers_may_count_twice(seed: int) -> None:
    """Voxels of 1.3 to 0.7 make ellipsoids of the balls: what a border cuts off their tips lies beyond the ball."""
    labels = electrode(seed)
    counted = concatenate_particles([counted_once(t) for t in mark_repeats(*fields(labels, SPACINGS[2], overlap=24))])
    number, diameter = counted["label"].to_numpy(), counted["equivalent_diameter"].to_numpy()
    whole = ~counted["touches_border"].to_numpy()
    assert sorted(number[whole].tolist()) == list(range(1, labels.max() + 1))
    assert (~whole).sum() < 0.1 * whole.sum()
    assert (diameter[~whole] < 0.5 * diameter[whole].min()).all()


def test_the_order_of_the_fields_does_not_matter() -> None:
    tables, offsets = fields(electrode(4), (1.0, 1.0, 1.0), overlap=12)  # some are whole in no field
    counts, whole = set(), set()
    for order in itertools.permutations(range(4)):
        marked = [counted_once(table) for table in mark_repeats([tables[i] for i in order], offsets)]
        counts.add(sum(table.sizes["particle"] for table in marked))
        whole.add(sum(int((~table["touches_border"]).sum()) for table in marked))
    assert len(counts) == len(whole) == 1


def test_without_offsets_nothing_is_flagged() -> None:
    tables, offsets = fields(electrode(1), (1.0, 1.0, 1.0), overlap=24)
    for table, before in zip(mark_repeats(tables, {}), tables, strict=True):
        assert not table["counted_elsewhere"].any()
        xr.testing.assert_identical(table.drop_vars("counted_elsewhere"), before.drop_vars("counted_elsewhere"))
    alone = {name: offsets[name] for name in list(offsets)[:1]}
    assert not any(table["counted_elsewhere"].any() for table in mark_repeats(tables, alone))


def test_fields_of_other_samples_do_not_meet() -> None:
    tables, offsets = fields(electrode(1), (1.0, 1.0, 1.0), overlap=24)
    apart = [table.assign(sample=("particle", np.full(table.sizes["particle"], name)))
             for name, table in zip("abcd", tables, strict=True)]  # fmt: skip
    assert not any(table["counted_elsewhere"].any() for table in mark_repeats(apart, offsets))


def test_fields_side_by_side_share_nothing() -> None:
    """Particles that touch across the border of two fields remain two."""
    first = np.array([[0.0, 0.0, 5.0, 2.0], [0.0, 6.0, 5.0, 2.0]])
    assert match_fields(first, first + np.array([0, 0, 4.0, 0])).size == 0
    assert match_fields(first, first + np.array([0, 0.3, 0.3, 0.1])).tolist() == [[0, 0], [1, 1]]
    assert match_fields(first, first[::-1]).tolist() == [[0, 1], [1, 0]]
    assert match_fields(first, first[:0]).shape == (0, 2)


def test_the_better_view_is_kept() -> None:
    place = np.repeat([[0.0], [0.1], [0.2]], 3, axis=1)
    radius = np.array([2.1, 1.8, 2.0])
    field = np.arange(3)
    flags = seen_elsewhere(field, place, radius, np.array([True, False, False]))
    assert flags.tolist() == [True, True, False]  # not cut, then the larger
    assert seen_elsewhere(field, place, radius, np.ones(3, bool)).tolist() == [False, True, True]
    assert seen_elsewhere(field[:0], place[:0], radius[:0], np.ones(0, bool)).tolist() == []


def test_two_particles_of_one_field_are_never_fused() -> None:
    """Through a third field both may be chained together: the field that shows two keeps two."""
    place = np.array([[0.0, 0, 0], [0, 0, 1.1], [0, 0, 0.0], [0, 0, 1.1], [0, 0, 0.55]])
    flags = seen_elsewhere(np.array([0, 0, 1, 1, 2]), place, np.array([0.6, 0.6, 0.5, 0.5, 0.55]), np.zeros(5, bool))
    assert flags.tolist() == [False, False, True, True, True]


@pytest.mark.parametrize(("distance", "r", "s"), [(0.0, 8, 8), (3.0, 8, 5), (2.0, 8, 5), (7.0, 8, 8), (15.9, 8, 8)])
def test_shared_volume(distance: float, r: float, s: float) -> None:
    z, y, x = places((101, 101, 141), (0.2, 0.2, 0.2))
    both = (z**2 + y**2 + x**2 <= r**2) & (z**2 + y**2 + (x - distance) ** 2 <= s**2)
    found = shared_volume(np.array([distance]), np.array([float(r)]), np.array([float(s)]))[0]
    assert found == pytest.approx(both.sum() * 0.008, rel=0.01, abs=1)


def test_two_overlapping_fields_of_a_phantom(tmp_path: Path) -> None:
    """From volumes to the table: nothing that counts lies where something of the other field counts."""
    simulate_volume(tmp_path / "whole.zarr", PhantomOptions(shape=(24, 80, 128), diameters=(4.0, 6.0)))
    whole = open_volume(tmp_path / "whole.zarr")
    spacing = describe(tmp_path / "whole.zarr").spacing
    for name, part in (("left", slice(0, 80)), ("right", slice(48, 128))):
        np.save(tmp_path / f"{name}.npy", whole.values[:, :, part])
    both = tuple(
        Field(path=tmp_path / f"{name}.npy", spacing=spacing, offset=(0, 0, first * spacing[2]))
        for name, first in (("left", 0), ("right", 48))
    )
    study = Study(study="two", output=tmp_path / "out", samples=(Sample(name="cell", fields=both),))
    study = study.with_options(detect=DetectOptions(detector="watershed", slices=24))
    layout = run(study, stages=FIELD_STAGES)
    table = open_particles(layout.particles)
    counted = counted_once(table)
    assert 0 < counted.sizes["particle"] < table.sizes["particle"]
    place, radius = counted["centroid"].to_numpy().copy(), counted["equivalent_diameter"].to_numpy() / 2
    second = counted["field"].to_numpy() == "right"
    place[second, 2] += 48 * spacing[2]
    apart = np.linalg.norm(place[~second, None] - place[second], axis=2)
    assert (apart > 0.5 * np.maximum(radius[~second, None], radius[second])).all()
