"""Conduction of electrons through a particle's solid, from the surface where lithium is exchanged to the contacts.

Symbols: potential ``phi`` and conductivity ``sigma`` of the active material, current density ``j`` into the particle,
``A`` detached outer surface, ``S`` whole outer surface, ``r`` radius of the ball of the particle's volume.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import LinearOperator, cg, splu
from scipy.special import ndtri

from tomostat.kernels.arrays import Doubles, Ints32
from tomostat.kernels.smoothing import SIGMA, Spacing, smooth
from tomostat.measure.measures import TOO_SMALL, Measure, Values, of_particle
from tomostat.measure.shape.neighbourhood import STEPS
from tomostat.measure.shape.surface import Surface

if TYPE_CHECKING:
    from tomostat.measure.particle import Particle


BUDGET = 250_000
"""Largest number of cells: particles with more voxels are solved on blocks of voxels."""

COARSE_EDGE = 6
"""Cells along the edge of the blocks that the coarse part of the preconditioner joins."""

RESIDUAL = 1e-5
"""Residual at which the solver stops; the resistance, an energy, is off by far less."""

MOST_STEPS = 5000
"""Steps after which the solver stops without a solution."""

NEAREST = 0.1
"""Least distance of a cell's centre from the surface, in voxels."""


NONE = (
    "unless the option conduction is set; without any contact, where the image shows no carbon-binder, in a single "
    f"slice, and {TOO_SMALL}"
)
UNMEASURED = (
    f"unless the option conduction is set; where the image shows no carbon-binder, in a single slice, and {TOO_SMALL}"
)


@dataclass(frozen=True)
class Terminals:
    """Places on the surface of a solid where current may enter or leave it.

    Attributes
    ----------
    voxel
        (n, 3) integer, the voxel that each place belongs to; a voxel may have several.
    point
        (n, 3) float, the place in micrometers from the centre of the first voxel.
    normal
        (n, 3) float, outward unit normal.
    electrode
        (n,) float, area in micrometer^2 that is held at the potential 0.
    source
        (n,) float, area in micrometer^2 over which current enters evenly.
    """

    voxel: NDArray[np.integer]
    point: NDArray[np.floating]
    normal: NDArray[np.floating]
    electrode: NDArray[np.floating]
    source: NDArray[np.floating]


@dataclass(frozen=True)
class Conduction:
    """How a solid conducts from its source to its electrode.

    Attributes
    ----------
    resistance
        Mean potential over the source per current, times the conductivity, in micrometer^-1; 0 without a source, NaN
        where no electrode is reached.
    source, electrode
        Area in micrometer^2 of both, of the source only where a path through the solid leads to an electrode.
    unreached
        Share of the solid's volume that no electrode reaches, which is left out.
    cells
        Number of unknowns.
    """

    resistance: float
    source: float
    electrode: float
    unreached: float
    cells: int


@njit(cache=True, nogil=True)
def _number_cells(solid: NDArray[np.bool_], edge: int) -> tuple[Ints32, int]:
    """Number the pieces that faces join within each block of `edge` voxels; -1 outside the solid."""
    nz, ny, nx = solid.shape
    number = np.full(solid.shape, -1, np.int32)
    stack = np.empty((edge**3, 3), np.int32)
    count = 0
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if not solid[z, y, x] or number[z, y, x] >= 0:
                    continue
                low_z, low_y, low_x = z // edge * edge, y // edge * edge, x // edge * edge
                high_z, high_y, high_x = min(low_z + edge, nz), min(low_y + edge, ny), min(low_x + edge, nx)
                number[z, y, x] = count
                stack[0] = z, y, x
                top = 1
                while top > 0:
                    top -= 1
                    i, j, k = stack[top]
                    for s in range(6):
                        a, b, c = i + STEPS[s, 0], j + STEPS[s, 1], k + STEPS[s, 2]
                        if not (low_z <= a < high_z and low_y <= b < high_y and low_x <= c < high_x):
                            continue
                        if solid[a, b, c] and number[a, b, c] < 0:
                            number[a, b, c] = count
                            stack[top] = a, b, c
                            top += 1
                count += 1
    return number, count


@njit(cache=True, nogil=True)
def _sum_cells(number: Ints32, count: int) -> tuple[NDArray[np.int64], Doubles]:
    """Voxels of each cell and the mean of their indices."""
    nz, ny, nx = number.shape
    voxels, middle = np.zeros(count, np.int64), np.zeros((count, 3))
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                n = number[z, y, x]
                if n >= 0:
                    voxels[n] += 1
                    middle[n, 0] += z
                    middle[n, 1] += y
                    middle[n, 2] += x
    for n in range(count):
        middle[n] /= voxels[n]
    return voxels, middle


def _link_cells(number: Ints32, centre: Doubles, spacing: Spacing) -> csr_array:
    """Conductance between cells, (n, n) symmetric: area of the faces that they share over their centres' distance."""
    rows, columns, values = [], [], []
    for axis in range(3):
        low = number[tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))]
        high = number[tuple(slice(1, None) if a == axis else slice(None) for a in range(3))]
        shared = (low >= 0) & (high >= 0) & (low != high)
        i, j = low[shared], high[shared]
        area = math.prod(spacing) / spacing[axis]
        values.append(area / (centre[j, axis] - centre[i, axis]))
        rows.append(i)
        columns.append(j)
    n = len(centre)
    half = coo_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(n, n)).tocsr()
    return csr_array(half + half.T)


def _electrode_links(cell: Ints32, area: NDArray[np.floating], below: Doubles, least: float, count: int) -> Doubles:
    """Conductance from each cell to the electrode: area over mean distance below the surface, at least `least`."""
    whole = np.bincount(cell, area, count)
    distance = np.bincount(cell, area * below, count) / np.where(whole > 0, whole, 1)
    return np.asarray(whole / np.maximum(distance, least))


def _coarse_blocks(centre: Doubles, edge: int, spacing: Spacing) -> NDArray[np.int64]:
    """Number of the block of about `COARSE_EDGE` cells a side in which each cell lies."""
    pitch = COARSE_EDGE * edge * np.asarray(spacing)
    place = np.floor(centre / pitch).astype(np.int64)
    place -= place.min(axis=0)
    code = np.ravel_multi_index(tuple(place.T), tuple(place.max(axis=0) + 1))
    found: NDArray[np.int64] = np.unique(code, return_inverse=True)[1]
    return found


def _preconditioner(matrix: csr_array, block: NDArray[np.int64]) -> LinearOperator:
    """Diagonal, and an exact solution on blocks: the first smooths, the second carries current across the particle.

    Additive two-level method, Nicolaides, SIAM J. Numer. Anal. 24, 355 (1987).
    """
    n = matrix.shape[0]
    join = csr_array((np.ones(n), (block, np.arange(n))))
    coarse = splu((join @ matrix @ join.T).tocsc())
    inverse = 1 / matrix.diagonal()
    return LinearOperator(matrix.shape, matvec=lambda x: inverse * x + coarse.solve(join @ x)[block], dtype=np.float64)


def _solve(matrix: csr_array, current: Doubles, block: NDArray[np.int64]) -> Doubles:
    """Potential of every cell; NaN where the solver did not converge."""
    potential, failed = cg(matrix, current, rtol=RESIDUAL, maxiter=MOST_STEPS, M=_preconditioner(matrix, block))
    return np.full_like(potential, np.nan) if failed else potential


def effective_resistance(
    solid: NDArray[np.bool_], terminals: Terminals, spacing: Spacing, *, budget: int = BUDGET
) -> Conduction:
    """Resistance of a solid between a source, over which current enters evenly, and an electrode.

    Parameters
    ----------
    solid
        (z, y, x) bool, what conducts; cracks and pores do not.
    terminals
        Where current enters and leaves. Places whose voxel is not solid do neither.
    spacing
        Voxel size (z, y, x) in micrometers.
    budget
        Number of cells to aim at. A larger solid is cut into blocks of k^3 voxels, and each piece of solid within a
        block is one cell: a crack of a single voxel still separates what lies on its two sides.

    Returns
    -------
    Conduction
        The resistance, with the areas and cells of its solution.

    Notes
    -----
    Finite volumes for ``div(sigma grad phi) = 0``: the current between two cells is the area of the faces that they
    share over the distance of their centres along the axis, times the difference of potential; to an electrode, its
    area over the distance of the cell's centre below the surface. With ``phi`` at the surface,
    ``sigma R = sigma int(phi dA) / (j A^2)`` over the source; the dissipated power is ``R (j A)^2``, so pieces and
    contacts taken away never lower it (Rayleigh).
    """
    on_solid = np.asarray(solid[tuple(terminals.voxel.T)], np.bool_)
    total = int(np.count_nonzero(solid))
    edge = max(1, math.ceil(math.cbrt(total / budget) - 1e-9))
    number, count = _number_cells(solid, edge)
    voxels, middle = _sum_cells(number, count)
    centre = middle * np.asarray(spacing)
    cell = number[tuple(terminals.voxel[on_solid].T)]
    below = ((terminals.point[on_solid] - centre[cell]) * terminals.normal[on_solid]).sum(axis=1)
    electrode = _electrode_links(cell, terminals.electrode[on_solid], below, NEAREST * edge * min(spacing), count)
    links = _link_cells(number, centre, spacing)
    piece = connected_components(links, directed=False)[1]
    reached = (np.bincount(piece, electrode) > 0)[piece]
    unreached = 1 - float(voxels[reached].sum()) / total if total else math.nan
    entering = np.where(reached[cell], terminals.source[on_solid], 0.0)
    areas = float(entering.sum()), float(terminals.electrode[on_solid].sum())
    cells = int(reached.sum())
    if not cells or areas[0] <= 0:
        return Conduction(0.0 if cells else math.nan, *areas, unreached, cells)
    source = np.asarray(np.bincount(cell, entering, count), np.float64)[reached]
    links = links[reached][:, reached]
    matrix = csr_array(diags_array(links.sum(axis=1) + electrode[reached]) - links)
    potential = _solve(matrix, source, _coarse_blocks(centre[reached], edge, spacing))
    rise = float(source @ potential) + float(entering @ below)  # to the cells' centres, and from there to the surface
    return Conduction(rise / areas[0] ** 2, *areas, unreached, cells)


def depth_below(surface: Surface) -> Doubles:
    """How deep below the surface the centre of each boundary voxel lies, (n,) micrometers.

    A plane smoothed with a Gaussian has the profile of its integral, which is inverted here; `Surface.point` rests on
    the slope between neighbouring voxels, which is too gentle for distances that conductances are divided by.
    """
    f = smooth(surface.mask)[tuple(surface.voxel.T)].astype(np.float64)
    pitch = np.sqrt(((surface.normal * np.asarray(surface.spacing)) ** 2).sum(axis=1))
    return np.asarray(SIGMA * pitch * np.clip(ndtri(f), -0.5, 1.0))


def terminals_of(surface: Surface, electrode: NDArray[np.floating], source: NDArray[np.floating]) -> Terminals:
    """A particle's outer surface with the areas of electrode and source of each of its points."""
    point = surface.voxel * np.asarray(surface.spacing) + surface.normal * depth_below(surface)[:, None]
    return Terminals(surface.voxel, point, surface.normal, electrode, source)


@of_particle(
    Measure(
        name="conduction_resistance",
        units="1",
        missing=NONE,
        long_name="resistance of the solid between whole surface and contacts, times conductivity and radius",
        definition="sigma r int(phi dA) / (j S^2): a current j S enters evenly over the outer surface S and leaves "
        "where that is in contact; potential phi from finite volumes for div(sigma grad phi) = 0, radius r of the "
        "ball of equal volume; 0 when intact.",
    ),
    Measure(
        name="conduction_detached",
        units="1",
        missing=NONE,
        long_name="resistance of the solid between detached surface and contacts, times conductivity and radius",
        definition="The same for the detached surface A alone: sigma r int(phi dA) / (j A^2).",
    ),
    Measure(
        name="conduction_unreached",
        units="1",
        missing=UNMEASURED,
        long_name="share of the active material that no contact reaches",
        definition="Share of the active material without a path through it to a contact; the two resistances leave it "
        "out.",
    ),
)
def conduction(particle: Particle) -> Values:
    """How well the solid conducts, where the option ``conduction`` is set."""
    if not particle.options.conduction or not particle.shows_binder or particle.is_section:
        return {}
    wetted = particle.contact.known & ~particle.contact.particle
    return conduction_columns(particle.surface, particle.conducting, wetted, particle.void)


def conduction_columns(
    surface: Surface,
    conducting: NDArray[np.floating],
    wetted: NDArray[np.bool_],
    void: NDArray[np.bool_],
    *,
    budget: int = BUDGET,
) -> dict[str, float]:
    """How well a particle's solid carries current from its surface to its contacts.

    Parameters
    ----------
    surface
        Outer surface of the filled particle.
    conducting
        (n,) share of each surface point that is in electrical contact; a half and more somewhere makes a contact.
    wetted
        (n,) bool, whether electrolyte reaches the point where it is not in contact: current enters there.
    void
        (z, y, x) bool, cracks and pores inside the particle, which do not conduct.
    budget
        See `effective_resistance`.

    Returns
    -------
    dict
        `conduction_resistance`: current ``j S`` enters evenly over the whole outer surface and leaves at once where
        that is in contact; ``sigma r int(phi dA) / (j S^2)``, 0 when intact. `conduction_detached`: the same for
        the detached surface alone, ``sigma r int(phi dA) / (j A^2)``, which does not vanish with the area of a gap.
        `conduction_unreached`: share of the solid that no contact reaches, which the others leave out.
    """
    solid = (surface.mask > 0) & ~void
    contact = conducting if (conducting >= 0.5).any() else np.zeros_like(conducting)
    electrode, source = surface.area * contact, np.where(wetted, surface.area * (1 - contact), 0.0)
    found = effective_resistance(solid, terminals_of(surface, electrode, source), surface.spacing, budget=budget)
    detached = found.resistance * surface.ball_radius
    share = found.source / max(found.source + found.electrode, 1e-300)
    return {
        "conduction_resistance": detached * share**2,
        "conduction_detached": detached,
        "conduction_unreached": found.unreached,
    }
