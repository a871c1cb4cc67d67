"""The particle table as a workbook: units in the second row, and a sheet that defines every column."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font
from openpyxl.worksheet._write_only import WriteOnlyWorksheet

from tomostat.datasets import column_guide, flatten
from tomostat.export.format import Format, Plan, Results
from tomostat.measure import read_contacts
from tomostat.measure.contact_table import AREA

ROWS = 1_048_576
"""Rows of a sheet at most."""

BOLD, GREY = Font(bold=True), Font(color="666666")


class XlsxFormat(Format):
    """``particles.xlsx`` with the sheets ``particles``, ``columns`` and ``contacts``."""

    about = "the particle table as a workbook with units and definitions, for Excel and LibreOffice"

    def plan(self, results: Results) -> Plan:
        """One file.

        Raises
        ------
        ValueError
            When there are more particles or contacts than rows in a sheet.
        """
        contacts = read_contacts(results.layout.contacts).to_pandas()
        contacts = contacts[contacts["field"].isin(results.fields)]
        for what, count in (("particles", results.particles.sizes["particle"]), ("contacts", len(contacts))):
            if count > ROWS - 2:
                raise ValueError(f"xlsx holds {ROWS - 2} rows but there are {count} {what}; netcdf has no such limit")
        return Plan({"particles": partial(write_workbook, results.particles, contacts)})


def write_workbook(particles: xr.Dataset, contacts: pd.DataFrame, folder: Path) -> None:
    """Write the workbook, row by row."""
    guide, path = column_guide(particles), folder / "particles.xlsx"
    with _errors_of_the_disk(path):
        book = Workbook(write_only=True)
        _add_sheet(book, "particles", flatten(particles), guide["units"])
        _add_sheet(book, "columns", guide, None)
        _add_sheet(book, "contacts", contacts, ["", "", "", AREA["units"]])
        book.save(path)


@contextlib.contextmanager
def _errors_of_the_disk(path: Path) -> Iterator[None]:
    """Make an `OSError` of what lxml says of the disk: openpyxl writes with it where it is installed."""
    try:
        yield
    except Exception as error:
        found = re.search(r"\bIO_(E[A-Z]+)\b", str(error))
        number = getattr(errno, found[1], None) if found else None
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from None


def _add_sheet(book: Workbook, title: str, table: pd.DataFrame, units: Iterable[str] | None) -> None:
    """A sheet with names and units, where there are any, in rows that stay in view."""
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2" if units is None else "A3"
    sheet.append([_cell(sheet, str(name), BOLD) for name in table])
    if units is not None:
        sheet.append([_cell(sheet, unit, GREY) for unit in units])
    for row in table.itertuples(index=False):
        sheet.append([_cell(sheet, value) for value in row])


def _cell(sheet: WriteOnlyWorksheet, value: Any, font: Font | None = None) -> Any:
    """What goes into a cell: nothing for a number that is missing, ``inf`` as text; text is never a formula."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, str):
        cell = WriteOnlyCell(sheet, value)
        cell.data_type = "s"
        if font:
            cell.font = font
        return cell
    return value


FORMAT = XlsxFormat()
