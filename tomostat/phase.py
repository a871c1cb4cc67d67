"""What a voxel is made of, and what a field's grey values tell about it: passed from phases to all later stages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, Self


class Phase(IntEnum):
    """Codes of the label image ``phases``."""

    PORE = 0
    CBD = 1
    ACTIVE = 2
    COLLECTOR = 3
    OUTSIDE = 4


@dataclass(frozen=True, kw_only=True)
class PhaseLevels:
    """Grey levels of the phases without shading, None for a phase that the image does not show."""

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
    """What the phases stage found about a field, noted with its labels ``phases``.

    Attributes
    ----------
    levels
        Grey levels of the phases.
    shares
        Volume fractions of the phases.
    thresholds
        Grey values between neighbouring phases, rising, without shading.
    percentiles
        Percentiles 0.5 and 99.5 of the grey values in the field of view, without shading.
    noise
        Standard deviation of the grey values of one material.
    blur
        Gaussian sigma of the edges in voxels; None where there are too few edges to tell.
    shading
        Standard deviation of the shading that was removed, in grey values.
    circle
        Centre y, x and radius in voxels of a round field of view; None where it is not round.
    warnings
        What the stage could not tell, in sentences.
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
        """The fit as JSON-able values."""
        return asdict(self)

    @classmethod
    def parse(cls, record: Mapping[str, Any], where: str) -> Self:
        """Read a fit back from what `record` gave.

        Parameters
        ----------
        record
            Attributes of the label image, with others among them.
        where
            The volume, for messages.

        Raises
        ------
        ValueError
            When something is missing or is not what it should be; the message names it.
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
            raise ValueError(f"{where}: labels/phases does not tell {error}; run `tomostat phases` again") from None
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{where}: what labels/phases tells is damaged ({error}); run `tomostat phases` again"
            ) from None
        if not high > low:
            raise ValueError(
                f"{where}: labels/phases tells grey percentiles {low:g} and {high:g}; expected rising ones, "
                "run `tomostat phases` again"
            )
        return fit


def _number(value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return float(value)


def _optional(value: Any) -> float | None:
    return None if value is None else _number(value)


def _circle(value: Any) -> tuple[float, float, float] | None:
    if value is None:
        return None
    y, x, radius = (_number(part) for part in value)
    return y, x, radius
