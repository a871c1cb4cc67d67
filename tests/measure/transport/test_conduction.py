"""Electrical conduction in the solid: shapes whose resistance is known, bounds, finer grids."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from shapes import CUBIC, SPACINGS, Spacing, ball, places
from tomostat.measure.shape.surface import Surface, extract_surface
from tomostat.measure.transport.conduction import (
    Conduction,
    Terminals,
    conduction_columns,
    effective_resistance,
    terminals_of,
)

Mask = NDArray[np.bool_]


def faces(solid: Mask, spacing: Spacing, axis: int) -> Terminals:
    """Current enters over the faces at the high end of an axis and leaves over those at the low end."""
    size = math.prod(spacing) / spacing[axis]
    voxel, normal, source = [], [], []
    for index, side in ((0, -1), (solid.shape[axis] - 1, 1)):
        found = np.argwhere(np.take(solid, [index], axis)) + index * np.eye(3, dtype=int)[axis]
        voxel.append(found)
        normal.append(np.tile(side * np.eye(3)[axis], (len(found), 1)))
        source.append(np.full(len(found), size if side > 0 else 0.0))
    where, out, area = np.concatenate(voxel), np.concatenate(normal), np.concatenate(source)
    point = (where + out / 2) * np.asarray(spacing)
    return Terminals(where, point, out, size - area, area)


def pole_angle(surface: Surface, pole: tuple[float, float, float] = (0.6, 0.0, 0.8)) -> NDArray[np.float64]:
    """Angle of each point of a shape in the middle of its box."""
    out = surface.point - (np.array(surface.mask.shape) - 1) / 2 * surface.spacing
    return np.arccos(np.clip(out @ np.array(pole) / np.linalg.norm(out, axis=1), -1, 1))


def cap(surface: Surface, share: float, width: float) -> NDArray[np.float64]:
    """Contact on a cap of the surface, passing into none over a width (radians)."""
    return np.clip(0.5 - (pole_angle(surface) - np.arccos(1 - 2 * share)) / width, 0, 1)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("spacing", [*SPACINGS, (0.05, 0.05, 0.05)])
def test_a_rod(spacing: Spacing, axis: int) -> None:
    """Its length over its cross-section."""
    solid = np.ones((9, 14, 20), bool)
    found = effective_resistance(solid, faces(solid, spacing, axis), spacing)
    extent = np.array(solid.shape) * spacing
    section = math.prod(extent) / extent[axis]
    assert found.resistance == pytest.approx(extent[axis] / section, rel=1e-6)
    assert found.source == pytest.approx(section)
    assert found.electrode == pytest.approx(section)
    assert found.unreached == 0


@pytest.mark.parametrize("budget", [400, 100])
def test_a_rod_on_blocks(budget: int) -> None:
    """Blocks that do not divide the rod evenly make no difference where current flows evenly."""
    solid = np.ones((9, 14, 20), bool)
    found = effective_resistance(solid, faces(solid, CUBIC, 2), CUBIC, budget=budget)
    assert found.cells <= 2 * budget
    assert found.resistance == pytest.approx(20 / 126, rel=1e-6)


def dense(solid: Mask, ends: Terminals, spacing: Spacing) -> float:
    """The same equations written out face by face and solved densely; every voxel must reach an electrode."""
    node = {tuple(voxel): n for n, voxel in enumerate(np.argwhere(solid).tolist())}
    matrix, current, rise = np.zeros((len(node), len(node))), np.zeros(len(node)), 0.0
    for (z, y, x), n in node.items():
        for axis, other in enumerate(((z + 1, y, x), (z, y + 1, x), (z, y, x + 1))):
            if other in node:
                m, value = node[other], math.prod(spacing) / spacing[axis] ** 2
                matrix[[n, m], [n, m]] += value
                matrix[[n, m], [m, n]] -= value
    for voxel, out, electrode, source in zip(ends.voxel, ends.normal, ends.electrode, ends.source, strict=True):
        n, half = node[tuple(voxel)], float(np.abs(out) @ np.asarray(spacing)) / 2
        matrix[n, n] += electrode / half
        current[n] += source
        rise += source * half
    return (current @ np.linalg.solve(matrix, current) + rise) / current.sum() ** 2


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(4))
def test_random_solids_solved_densely(seed: int, spacing: Spacing) -> None:
    solid = np.random.default_rng(seed).random((7, 8, 9)) < 0.7
    solid[0] = True  # one plate joins every column, and what hangs free is cut off below
    number = np.zeros(solid.shape, bool)
    number[0] = True
    for _ in range(60):  # grow along faces
        for axis in range(3):
            for step in (-1, 1):
                moved = np.roll(number, step, axis)
                moved[tuple(slice(None) if a != axis else (0 if step > 0 else -1) for a in range(3))] = False
                number |= moved & solid
    ends = faces(number, spacing, 0)
    found = effective_resistance(number, ends, spacing).resistance
    assert found == pytest.approx(dense(number, ends, spacing), rel=1e-5)


@pytest.mark.parametrize("budget", [10**9, 300])
@pytest.mark.parametrize("seed", range(3))
def test_between_series_and_parallel(seed: int, budget: int) -> None:
    """Layers that conduct sideways without loss are a lower bound, columns that do not conduct sideways an upper."""
    solid = np.random.default_rng(seed).random((12, 10, 11)) < 0.93
    found = effective_resistance(solid, faces(solid, CUBIC, 0), CUBIC, budget=budget).resistance
    assert (1 / solid.sum(axis=(1, 2))).sum() <= found * 1.0001
    assert found <= len(solid) / solid.all(axis=0).sum() * 1.0001


def test_solid_taken_away_never_helps_and_contact_always_does() -> None:
    rng = np.random.default_rng(5)
    surface = extract_surface(ball(9), CUBIC)
    contact = cap(surface, 0.3, 0.1)
    ends = terminals_of(surface, surface.area * contact, surface.area * (1 - contact))
    solid, last = surface.mask > 0, 0.0
    inner = (surface.index < 0) & solid
    for _ in range(4):
        found = effective_resistance(solid, ends, CUBIC).resistance
        assert found >= last
        last, solid = found, solid & ~(inner & (rng.random(solid.shape) < 0.1))
    wider = Terminals(ends.voxel, ends.point, ends.normal, ends.electrode * 2, ends.source)
    assert effective_resistance(solid, wider, CUBIC).resistance < effective_resistance(solid, ends, CUBIC).resistance


def shell(outer: float, inner: float, spacing: Spacing) -> tuple[Mask, Terminals]:
    """A hollow ball: current enters on the inner surface and leaves on the outer."""
    z, y, x = places(tuple(int(2 * outer / s) + 8 for s in spacing), spacing)
    square = z**2 + y**2 + x**2
    whole, hole = square <= outer**2, square <= inner**2
    a, b = extract_surface(whole.astype(np.uint8), spacing), extract_surface((~hole).astype(np.uint8), spacing)
    parts = terminals_of(a, a.area, np.zeros(len(a))), terminals_of(b, np.zeros(len(b)), b.area)
    names = ("voxel", "point", "normal", "electrode", "source")
    return whole & ~hole, Terminals(*(np.concatenate([getattr(ends, name) for ends in parts]) for name in names))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(("budget", "bound"), [(10**9, 0.03), (8000, 0.09)])
def test_a_hollow_ball(spacing: Spacing, budget: int, bound: float) -> None:
    solid, ends = shell(20, 10, spacing)
    found = effective_resistance(solid, ends, spacing, budget=budget)
    assert found.resistance == pytest.approx((1 / 10 - 1 / 20) / (4 * math.pi), rel=bound)


def capped(fine: int, *, crack: bool = False, budget: int = 10**9) -> dict[str, float]:
    """A ball of radius 20 with contact on a cap, with a crack beside it, on a grid `fine` times as fine as 1."""
    spacing = (1 / fine,) * 3
    z, y, x = places((44 * fine,) * 3, spacing)
    mask = (z**2 + y**2 + x**2 <= 400).astype(np.uint8)
    surface = extract_surface(mask, spacing)
    void = np.broadcast_to((abs(z - 4) < 1) & (x > -10), mask.shape) & (mask > 0) & crack
    return conduction_columns(surface, cap(surface, 0.3, 0.05 / fine), np.ones(len(surface), bool), void, budget=budget)


@pytest.mark.slow
@pytest.mark.parametrize("crack", [False, True])
def test_on_a_finer_grid(crack: bool) -> None:
    coarse, fine = capped(1, crack=crack), capped(2, crack=crack)
    assert coarse["conduction_resistance"] == pytest.approx(fine["conduction_resistance"], rel=0.04)
    blocks = capped(2, crack=crack, budget=40_000)
    assert blocks["conduction_resistance"] == pytest.approx(fine["conduction_resistance"], rel=0.04)


def test_a_crack_of_one_voxel_parts_blocks() -> None:
    """Blocks of voxels keep apart what a crack parts: the current goes around it, or nowhere."""
    solid = np.ones((12, 12, 12), bool)
    z, y, x = np.indices(solid.shape)
    solid[z + y - x == 6] = False
    solid[z + y - x == 7] = False  # two layers: a path over faces cannot slip through
    found = effective_resistance(solid, faces(solid, CUBIC, 2), CUBIC, budget=100)
    fine = effective_resistance(solid, faces(solid, CUBIC, 2), CUBIC)
    assert found.cells < 400
    assert found.unreached == pytest.approx(fine.unreached)


@pytest.mark.parametrize("budget", [10**9, 200])
def test_turned_by_a_right_angle(budget: int) -> None:
    rng = np.random.default_rng(2)
    solid, spacing = rng.random((8, 8, 12)) < 0.9, (1.0, 1.3, 0.7)
    first = effective_resistance(solid, faces(solid, spacing, 0), spacing, budget=budget)
    turned = np.ascontiguousarray(solid.transpose(1, 2, 0))
    second = effective_resistance(turned, faces(turned, (1.3, 0.7, 1.0), 2), (1.3, 0.7, 1.0), budget=budget)
    assert second.resistance == pytest.approx(first.resistance, rel=1e-6)


def test_fragments_without_contact_are_left_out() -> None:
    rod = np.ones((4, 4, 10), bool)
    alone = effective_resistance(rod, faces(rod, CUBIC, 2), CUBIC)
    two = np.zeros((4, 9, 10), bool)
    two[:, :4] = True
    two[:, 5:, 1:] = True  # its low end is not at the electrode
    found = effective_resistance(two, faces(two, CUBIC, 2), CUBIC)
    assert found.resistance == pytest.approx(alone.resistance, rel=1e-6)
    assert found.source == alone.source
    assert found.unreached == pytest.approx(144 / 304)


def test_nothing_to_conduct() -> None:
    solid = np.ones((3, 3, 3), bool)
    ends = faces(solid, CUBIC, 0)
    none = np.zeros_like(ends.source)
    no_electrode = effective_resistance(solid, Terminals(ends.voxel, ends.point, ends.normal, none, ends.source), CUBIC)
    assert math.isnan(no_electrode.resistance)
    assert no_electrode.unreached == 1
    no_source = effective_resistance(solid, Terminals(ends.voxel, ends.point, ends.normal, ends.electrode, none), CUBIC)
    assert no_source.resistance == 0
    empty = effective_resistance(np.zeros((3, 3, 3), bool), ends, CUBIC)
    assert isinstance(empty, Conduction)
    assert math.isnan(empty.resistance)


def test_columns_from_intact_to_loose() -> None:
    surface = extract_surface(ball(8), CUBIC)
    void, wetted = np.zeros(surface.mask.shape, bool), np.ones(len(surface), bool)
    contacts = [np.ones(len(surface)), *(cap(surface, share, 0.2) for share in (0.95, 0.7, 0.3, 0.1))]
    rows = [conduction_columns(surface, contact, wetted, void) for contact in contacts]
    values = [row["conduction_resistance"] for row in rows]
    assert rows[0]["conduction_resistance"] == rows[0]["conduction_detached"] == 0
    assert values == sorted(values)
    assert values[1] < 0.01  # the narrow current of a small gap meets hardly any resistance on the whole
    loose = conduction_columns(surface, np.zeros(len(surface)), wetted, void)
    assert math.isnan(loose["conduction_resistance"])
    assert loose["conduction_unreached"] == 1


def test_the_size_of_a_particle_cancels() -> None:
    values = []
    for scale in (1.0, 0.05):
        spacing = (scale,) * 3
        surface = extract_surface(ball(8), spacing)
        void, wetted = np.zeros(surface.mask.shape, bool), np.ones(len(surface), bool)
        values.append(conduction_columns(surface, cap(surface, 0.4, 0.2), wetted, void)["conduction_resistance"])
    assert values[0] == pytest.approx(values[1], rel=1e-4)
