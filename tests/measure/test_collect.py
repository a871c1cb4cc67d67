"""Overlapping fields: each particle counts once, whatever the order of the fields; weights of their union."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from shapes import SPACINGS, Spacing
from tomostat.datasets import counted_once, open_particles
from tomostat.detect.options import DetectOptions
from tomostat.measure import (
    MeasureOptions,
    all_columns,
    chosen_measures,
    concatenate_particles,
)
from tomostat.measure.collect import flag_duplicates, weigh_overlapping_fields
from tomostat.measure.sampling.window import Window, border_weights, union_weights
from tomostat.measure.table import KEYS, make_table
from tomostat.phantom import simulate_volume
from tomostat.phantom.options import PhantomOptions
from tomostat.pipeline import run
from tomostat.study import Field, Sample, Study
from tomostat.volume import describe, open_volume

Labels = NDArray[np.int64]
SHAPE = (40, 100, 120)
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]


def field_table(columns: dict[str, NDArray[Any]], attributes: dict[str, Any] | None = None) -> xr.Dataset:
    """A table with some columns given, missing values in all others."""
    measures = chosen_measures(MeasureOptions())
    count = len(columns["label"])
    known = all_columns(measures)
    every = {name: columns.get(name, measure.missing_values(count)) for name, measure in known.items()}
    keys = {measure.name: every[measure.name] for measure in KEYS}
    return make_table(measures, keys, every, attributes or {})


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
    return field_table(columns)


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
@pytest.mark.parametrize("seed", SEEDS)
def test_every_particle_counts_once(seed: int, spacing: Spacing) -> None:
    labels = electrode(seed)
    tables, offsets = fields(labels, spacing, overlap=24)
    marked = flag_duplicates(tables, offsets)
    kept = np.concatenate([counted_once(table)["label"].to_numpy() for table in marked])
    assert sorted(kept.tolist()) == list(range(1, labels.max() + 1))
    assert sum(table.sizes["particle"] for table in marked) > labels.max() * 1.3
    assert not np.concatenate([counted_once(table)["touches_border"].to_numpy() for table in marked]).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_of_elongated_particles_only_slivers_may_count_twice(seed: int) -> None:
    """Voxels of 1.3 to 0.7 make ellipsoids of the balls: what a border cuts off their tips lies beyond the ball."""
    labels = electrode(seed)
    counted = concatenate_particles(
        [counted_once(t) for t in flag_duplicates(*fields(labels, SPACINGS[2], overlap=24))]
    )
    number, diameter = counted["label"].to_numpy(), counted["equivalent_diameter"].to_numpy()
    whole = ~counted["touches_border"].to_numpy()
    assert sorted(number[whole].tolist()) == list(range(1, labels.max() + 1))
    assert (~whole).sum() < 0.1 * whole.sum()
    assert (diameter[~whole] < 0.5 * diameter[whole].min()).all()


def test_the_order_of_the_fields_does_not_matter() -> None:
    tables, offsets = fields(electrode(4), (1.0, 1.0, 1.0), overlap=12)  # some are whole in no field
    counts, whole = set(), set()
    for order in itertools.permutations(range(4)):
        marked = [counted_once(table) for table in flag_duplicates([tables[i] for i in order], offsets)]
        counts.add(sum(table.sizes["particle"] for table in marked))
        whole.add(sum(int((~table["touches_border"]).sum()) for table in marked))
    assert len(counts) == len(whole) == 1


def test_without_offsets_nothing_is_flagged() -> None:
    tables, offsets = fields(electrode(1), (1.0, 1.0, 1.0), overlap=24)
    for table, before in zip(flag_duplicates(tables, {}), tables, strict=True):
        assert not table["counted_elsewhere"].any()
        xr.testing.assert_identical(table.drop_vars("counted_elsewhere"), before.drop_vars("counted_elsewhere"))
    alone = {name: offsets[name] for name in list(offsets)[:1]}
    assert not any(table["counted_elsewhere"].any() for table in flag_duplicates(tables, alone))


def test_fields_of_different_samples_are_independent() -> None:
    tables, offsets = fields(electrode(1), (1.0, 1.0, 1.0), overlap=24)
    apart = [table.assign(sample=("particle", np.full(table.sizes["particle"], name)))
             for name, table in zip("abcd", tables, strict=True)]  # fmt: skip
    assert not any(table["counted_elsewhere"].any() for table in flag_duplicates(apart, offsets))


@pytest.mark.slow
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
    study = study.with_options(
        detect=DetectOptions(detector="watershed", slices=24), measure=MeasureOptions(maps=False)
    )
    layout = run(study, stages=["ingest", "phases", "detect", "stitch", "measure"])
    table = open_particles(layout.particles)
    counted = counted_once(table)
    assert 0 < counted.sizes["particle"] < table.sizes["particle"]
    place, radius = counted["centroid"].to_numpy().copy(), counted["equivalent_diameter"].to_numpy() / 2
    second = counted["field"].to_numpy() == "right"
    place[second, 2] += 48 * spacing[2]
    apart = np.linalg.norm(place[~second, None] - place[second], axis=2)
    assert (apart > 0.5 * np.maximum(radius[~second, None], radius[second])).all()


def window(spacing: Spacing = (1.0, 1.0, 1.0), **changes) -> Window:
    return Window(**{"shape": SHAPE, "spacing": spacing, "cut": (True, True, True)} | changes)


def table(name: str, sample: str, one: Window | None) -> xr.Dataset:
    columns = {
        "label": np.array([1, 2]), "bbox": np.array([[[5, 5, 5], [15, 25, 35]], [[0, 0, 0], [2, 2, 2]]]),
        "border_weight": np.array([9.0, 9.0]), "field": np.full(2, name), "sample": np.full(2, sample),
    }  # fmt: skip
    return field_table(columns, {"window": asdict(one)} if one else {})


def test_fields_that_overlap_share_their_weights() -> None:
    one = window((0.5, 0.5, 0.5))
    tables = [
        table("a", "cell", one), table("b", "cell", one), table("far", "cell", one), table("c", "other", one),
        table("nowhere", "cell", one), table("old", "cell", None),
    ]  # fmt: skip
    places = {"a": (0, 0, 0), "b": (0, 0, 40), "far": (0, 500, 0), "c": (0, 0, 20), "old": (0, 0, 20)}
    weighed = [found["border_weight"].to_numpy() for found in weigh_overlapping_fields(tables, places)]
    expected = union_weights(np.array([[5, 10, 15], [1, 1, 1]]), [one, one], np.array([(0, 0, 0), (0, 0, 40)]))
    for found in weighed[:2]:
        np.testing.assert_array_equal(found, expected)
    assert expected[0] < border_weights(np.array([[10, 20, 30]]), one)
    for found in weighed[2:]:
        np.testing.assert_array_equal(found, [9, 9])
