"""Options of `tomostat xanes`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tomostat.options import StageOptions, check


@dataclass(frozen=True, kw_only=True)
class XanesOptions(StageOptions):
    """How spectra are normalised and where their edge lies.

    Attributes
    ----------
    edge
        Energy of the edge in eV, to which the ranges below are relative; nickel's K edge when not given.
    pre
        Range in eV, relative to the edge, to which the line before it is fitted.
    post
        Range in eV, relative to the edge, to which the polynomial after it is fitted.
    order
        Order of that polynomial: 0, 1 or 2.
    method
        What is mapped: half, the energy at which the normalised absorption passes 1/2, or white_line, that of its
        maximum.
    least_step
        Step at the edge, as a share of its 99 % quantile over all pixels, below which a pixel is masked.
    align
        Shift the images onto each other first.
    """

    edge: float = 8333.0
    pre: tuple[float, float] = (-130.0, -20.0)
    post: tuple[float, float] = (50.0, 300.0)
    order: Literal[0, 1, 2] = 1
    method: Literal["half", "white_line"] = "half"
    least_step: float = 0.1
    align: bool = True

    def __post_init__(self) -> None:
        check(self.edge > 1000, "edge", self.edge, "an energy in eV, above 1000")
        check(self.pre[0] < self.pre[1] <= 0, "pre", self.pre, "two ascending energies before the edge")
        check(0 < self.post[0] < self.post[1], "post", self.post, "two ascending energies after the edge")
        check(self.order in (0, 1, 2), "order", self.order, "0, 1 or 2")
        check(self.method in ("half", "white_line"), "method", self.method, "half or white_line")
        check(0 <= self.least_step < 1, "least_step", self.least_step, "a share from 0 to below 1")
