"""Parquet tables in the folder of the merge graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tomostat.files import atomic


def write_table(path: Path, table: pa.Table, row_group_size: int | None = None) -> None:
    """Write one Parquet file, whole or not at all."""
    with atomic(path) as part:
        pq.write_table(table, part, compression="zstd", row_group_size=row_group_size)


def read_table(path: Path, slices: range | None = None, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one Parquet file.

    Parameters
    ----------
    path
        The file.
    slices
        Read only the rows whose column ``slice`` is one of these; all rows when not given.
    columns
        Columns to read; all when not given.

    Raises
    ------
    FileNotFoundError, ValueError
        When the file is missing or damaged.
    """
    filters = None if slices is None else [("slice", ">=", slices.start), ("slice", "<", slices.stop)]
    try:
        return pq.read_table(path, columns=columns, filters=filters)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no table {path}; run `tomostat stitch` again") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is damaged ({error}); run `tomostat stitch` again") from None
