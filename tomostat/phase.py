"""Codes of the phases, and the grey levels, noise and blur of a field: what the stage phases hands to later stages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, Self


class Phase(IntEnum):
    """Codes of the label image ``phases``.

    CBD is the carbon-binder domain, COLLECTOR the current collector, OUTSIDE lies outside the field of view.
    """

    PORE = 0
    CBD = 1
    ACTIVE = 2
    COLLECTOR = 3
    OUTSIDE = 4


@dataclass(frozen=True, kw_only=True)
class PhaseLevels:
    """Grey levels of the phases without shading, None for a phase that the field does not hold."""

    pore: float | None = None
    cbd: float | None = None
    active: float | None = None
    collector: float | None = None


@dataclass(frozen=True, kw_only=True)
class PhaseShares:
    """Volume fractions of the phases in the field of view."""

    pore: float = 0.0
    cbd: float = 0.0
    active: float = 0.0
    collector: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PhaseFit:
    """Grey levels, thresholds, noise and blur of a field; stored with its labels ``phases``.

    `tomostat.phases.segment` and, for phases that a user gives, `tomostat.phases.given` write it into the attributes of
    ``labels/phases``. Detect, stitch, measure, report, export and correlate open it with
    `tomostat.volume.metadata.read_fit`.

    Attributes
    ----------
    levels
        Grey levels of the phases.
    shares
        Volume fractions of the phases.
    thresholds
        Grey values between neighbouring phases, ascending, without shading.
    percentiles
        Percentiles 0.5 and 99.5 of the grey values in the field of view, without shading.
    noise
        Standard deviation of the grey values of one material.
    blur
        Gaussian sigma of the edges in voxels; None where there are too few edges to measure it.
    shading
        Standard deviation of the shading that was removed, in grey values.
    circle
        Centre y, x and radius in voxels of a round field of view; None for one that is not round.
    warnings
        Sentences on phases that could not be distinguished.
    """

    levels: PhaseLevels
    shares: PhaseShares = PhaseShares()
    thresholds: tuple[float, ...] = ()
    percentiles: tuple[float, float]
    noise: float
    blur: float | None = None
    shading: float = 0.0
    circle: tuple[float, float, float] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def edge_blur(self) -> float:
        """Gaussian sigma of the edges in voxels; 1 where it could not be measured."""
        return self.blur or 1.0

    def record(self) -> dict[str, Any]:
        """The fit as JSON values, which are stored as attributes of the label image."""
        return asdict(self)

    @classmethod
    def parse(cls, record: Mapping[str, Any], where: str) -> Self:
        """Read a fit back from the values of `record`.

        Parameters
        ----------
        record
            Attributes of the label image; it may hold others too.
        where
            Path of the volume, for messages.

        Raises
        ------
        ValueError
            When a value is missing or of another type or range; the message names it.
        """
        try:
            low, high = (_number(value) for value in record["percentiles"])
            fit = cls(
                levels=PhaseLevels(**{name: _optional(value) for name, value in record["levels"].items()}),
                shares=PhaseShares(**{name: _number(value) for name, value in record.get("shares", {}).items()}),
                thresholds=tuple(_number(value) for value in record.get("thresholds", ())),
                percentiles=(low, high),
                noise=_number(record["noise"]),
                blur=_optional(record.get("blur")),
                shading=_number(record.get("shading", 0.0)),
                circle=_circle(record.get("circle")),
                warnings=tuple(str(text) for text in record.get("warnings", ())),
            )
        except KeyError as error:
            raise ValueError(f"{where}: labels/phases lacks {error}; run `tomostat phases` again") from None
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{where}: the attributes of labels/phases are damaged ({error}); run `tomostat phases` again"
            ) from None
        if not high > low:
            raise ValueError(
                f"{where}: percentiles in labels/phases are {low:g} and {high:g}; expected ascending ones, "
                "run `tomostat phases` again"
            )
        return fit


def _number(value: Any) -> float:
    """Check that a value is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return float(value)


def _optional(value: Any) -> float | None:
    return None if value is None else _number(value)


def _circle(value: Any) -> tuple[float, float, float] | None:
    if value is None:
        return None
    y, x, radius = (_number(part) for part in value)
    return y, x, radius
