"""The table that every benchmark prints: what is measured beside what is required."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda value, required: value >= required,
    "<=": lambda value, required: value <= required,
    "==": lambda value, required: value == required,
}


@dataclass(frozen=True)
class Result:
    """One line of a table.

    Attributes
    ----------
    name
        What was measured.
    value
        What came out.
    required
        The bound that the value must keep; None where there is none.
    comparison
        How it must compare with the bound, one of `COMPARISONS`.
    unit
        Unit of both.
    """

    name: str
    value: float
    required: float | None = None
    comparison: str = ">="
    unit: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the bound is kept; None where there is none."""
        return None if self.required is None else COMPARISONS[self.comparison](self.value, self.required)


PRINTED: dict[str, list[Result]] = {}
"""Tables that were printed, by their titles; `benchmarks.figures` keeps them."""


def print_results(title: str, results: list[Result]) -> None:
    """Print a table."""
    PRINTED[title] = results
    print(f"\n{title}\n" + "-" * 96)
    for result in results:
        required = "" if result.required is None else f"required {result.comparison} {result.required:g}"
        met = {True: "met", False: "NOT MET", None: ""}[result.met]
        print(f"{result.name:<58}{result.value:>11.4g} {result.unit:<9}{required:<19}{met}", flush=True)


def print_tables(
    tables: Mapping[str, Callable[[], Iterable[Result]]], about: str | None, default: Sequence[str] = ()
) -> None:
    """Run and print the tables of a benchmark that the command line names; all of them, or `default`, when none is.

    Parameters
    ----------
    tables
        What measures each table, by its name.
    about
        The benchmark's docstring, for ``--help``.
    default
        Tables when none is named.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_names(parser, tables, default)
    for name in parser.parse_args().names:
        print_results(name, list(tables[name]()))


def add_names(parser: argparse.ArgumentParser, known: Iterable[str], default: Sequence[str] = ()) -> None:
    """Let the tables of a benchmark be chosen by name; all of them, or those of `default`, when none is named.

    With ``choices`` argparse would refuse a default of several names.
    """
    names = [*known]

    def one(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"there is no table {text!r}; tables are {', '.join(names)}")
        return text

    parser.add_argument("names", nargs="*", type=one, default=[*(default or names)], metavar="NAME",
                        help=f"of {', '.join(names)}")  # fmt: skip
