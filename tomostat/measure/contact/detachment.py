"""How much of a particle's surface touches carbon-binder, other particles, the current collector; detachment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tomostat.measure.contact.layers import TOLERANCES, SurfaceContact
from tomostat.measure.measures import TOO_SMALL, Axis, Measure, Value, Values, of_particle
from tomostat.measure.options import MeasureOptions
from tomostat.measure.shape.surface import Surface

if TYPE_CHECKING:
    from tomostat.measure.particle import Particle

TOLERANCE_AXIS = Axis("reach", TOLERANCES)
LEVEL_AXIS = Axis("binder_level", ("lower", "higher"))
NO_BINDER = f"where the image shows no carbon-binder; {TOO_SMALL}"
IN_VOLUME = f"{TOO_SMALL}, and in a single slice"


@of_particle(
    Measure(
        name="detachment", units="1", long_name="share of the outer surface without contact to carbon-binder",
        definition="1 - contact_cbd / (outer surface not cut by the field and known). Contact is decided beyond the "
        "blur: the grey value of the layer outside the edge, as deep as the option tolerance, against the levels of "
        "void and carbon-binder; after Jiang et al. 2020. Surface that touches another particle or the current "
        "collector counts as detached; the option exclude_particle_contact leaves out the former. In phases without "
        "grey values the voxels beyond the outer faces decide.",
        missing=f"{NO_BINDER}; where all of the surface is cut or unknown", shown=("report",),
    ),
    Measure(
        name="detachment_std", units="1", long_name="uncertainty of the detachment, one standard deviation",
        definition="From the odds p of carbon-binder at each surface point, of variance p (1 - p); points within 150 "
        "voxel faces err together, and an error of the mean of p (1 - p) is common to all. In phases without "
        "grey values, the length of the border between contact and gap times the rounding of a voxel.",
        missing=f"{NO_BINDER}; where no point faces carbon-binder or void", shown=("report",),
        heading="± σ",  # noqa: RUF001
    ),
    Measure(
        name="detachment_at", units="1", long_name="detachment at a contact tolerance of 1, 2 and 3 voxels",
        dims=(TOLERANCE_AXIS,), definition="As detachment, for three depths of the layer outside the edge.",
        missing=f"{NO_BINDER}; where all of the surface is cut or unknown",
    ),
    Measure(
        name="detachment_at_level", units="1",
        long_name="detachment with the level of carbon-binder 5 % lower and higher",
        dims=(LEVEL_AXIS,), definition="As detachment, with the grey level of the carbon-binder that is found beside "
        "the particle, above that of pores, times 0.95 and 1.05.",
        missing=f"{NO_BINDER}; where all of the surface is cut or unknown",
    ),
    Measure(
        name="contact_cbd", units="micrometer^2", long_name="outer surface in contact with carbon-binder",
        definition="Sum over the surface points of area times contact: 1 carbon-binder, 0 void, 1/2 on the border.",
        missing=f"{NO_BINDER}, and in a single slice", needs_volume=True, digits=1,
    ),
    Measure(
        name="contact_particle", units="micrometer^2", long_name="outer surface that touches another particle",
        definition="Area where another particle lies 1.2 voxels outside the edge, or the layer outside the edge is "
        "brighter than 0.6 of the level of active material above void.", missing=IN_VOLUME,
        needs_volume=True, shown=("report",), heading="particle contact", digits=1,
    ),
    Measure(
        name="contact_collector", units="micrometer^2", long_name="outer surface that touches the current collector",
        definition="Area where the current collector lies 2.5 voxels outside the edge, and no other particle; the "
        "layer there is nearer in grey to the collector than to carbon-binder.",
        missing=IN_VOLUME,
        needs_volume=True, digits=1,
    ),
    Measure(
        name="contact_border", units="micrometer^2", long_name="surface cut by the border of the field",
        definition="Area of the faces on the border of the box or of the round field of view.", missing=IN_VOLUME,
        needs_volume=True, digits=1,
    ),
)  # fmt: skip
def detachment(particle: Particle) -> Values:
    """Areas by what they touch, and the degree of detachment."""
    return contact_columns(particle.surface, particle.contact, particle.options)


def contact_columns(surface: Surface, contact: SurfaceContact, options: MeasureOptions) -> dict[str, Value]:
    """Areas by what they touch, and the degree of detachment: the share that does not touch carbon-binder.

    Surface cut by the field, and points without usable voxels beyond them, count neither way; surface that touches
    another particle counts as detached unless the options leave it out.

    Parameters
    ----------
    surface, contact
        Outer surface of the particle and what its points touch.
    options
        Tolerance, and whether contact with particles is left out.

    Returns
    -------
    dict
        Areas in micrometer^2 and shares by column.
    """
    area = np.where(contact.known, surface.area, 0).astype(np.float64)
    binder, at_level = ((one.astype(np.float64) * area).sum(axis=1) for one in (contact.binder, contact.at_level))
    chosen = TOLERANCES.index(options.tolerance)
    row: dict[str, Value] = {
        "contact_border": float(surface.cut.sum(dtype=np.float64)),
        "contact_particle": float(area[contact.particle].sum()),
        "contact_collector": float(area[contact.collector].sum()),
        "contact_cbd": float(binder[chosen]),
    }
    whole = area.sum() - (row["contact_particle"] if options.exclude_particle_contact else 0.0)
    if whole > 0:
        share = np.clip(1 - binder / whole, 0, 1)
        row["detachment"] = float(share[chosen])
        row["detachment_at"] = share.tolist()
        row["detachment_at_level"] = np.clip(1 - at_level / whole, 0, 1).tolist()
        row["detachment_std"] = contact.deviation * contact.open_area / whole
    return row
