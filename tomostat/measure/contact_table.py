"""The table of contacts between particles: written per field, joined for a study, opened as a graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from tomostat.datasets import flatten, open_particles
from tomostat.files import atomic
from tomostat.measure.contact.neighbours import ContactPairs

if TYPE_CHECKING:
    import networkx as nx

AREA = {"units": "micrometer^2", "long_name": "contact area: mean of the areas on the surfaces of the two"}
SCHEMA = pa.schema([
    pa.field("field", pa.string()), pa.field("a", pa.uint32()), pa.field("b", pa.uint32()),
    pa.field("area", pa.float64(), metadata=AREA),
])  # fmt: skip
"""One row per pair of touching particles: their labels, ``a < b``."""


def contact_table(field: str, pairs: ContactPairs) -> pa.Table:
    """The contacts of one field as a table of `SCHEMA`."""
    names = pa.array([field] * len(pairs.a), pa.string())
    return pa.table([names, pairs.a, pairs.b, pairs.area], schema=SCHEMA)


def write_contacts(path: str | Path, tables: Sequence[pa.Table]) -> None:
    """Write the contacts of some fields into one Parquet file, whole or not at all."""
    with atomic(path) as part:
        pq.write_table(pa.concat_tables([SCHEMA.empty_table(), *tables]), part, compression="zstd")


def read_contacts(path: str | Path) -> pa.Table:
    """Read a table of contacts.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such file, or it is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no table of contacts at {path}; run `tomostat measure`")
    try:
        return pq.read_table(path, schema=SCHEMA)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is not a table of contacts: {' '.join(str(error).split())}") from None


def open_contacts(path: str | Path, *, columns: Sequence[str] | None = None) -> nx.Graph:
    """Open the contacts between the particles of a study as a graph.

    Parameters
    ----------
    path
        Output folder with ``contacts.parquet`` and the particle table.
    columns
        Columns of the flat particle table (``volume``, ``centroid_z``, ...) that nodes carry; all when not given.

    Returns
    -------
    networkx.Graph
        A node ``(field, label)`` per particle, with its columns; an edge per pair of touching particles, with `area`
        in micrometer^2 (0 where only voxel faces touch; NaN where both are too small for a surface, and in a slice).
        Contacts of particles that the table leaves out are left out.

    Raises
    ------
    FileNotFoundError, ValueError
        When a table is missing or damaged, or a column is not there.
    """
    import networkx as nx

    path = Path(path)
    contacts = read_contacts(path / "contacts.parquet")
    flat = flatten(open_particles(path))
    unknown = [name for name in columns or () if name not in flat]
    if unknown:
        raise ValueError(f"column {unknown[0]!r} is not in the particle table; it has {', '.join(map(str, flat))}")
    nodes = list(zip(flat["field"].tolist(), flat["label"].tolist(), strict=True))
    chosen = flat if columns is None else flat[list(columns)]
    graph: nx.Graph = nx.Graph(units={"area": AREA["units"]})
    graph.add_nodes_from(zip(nodes, chosen.to_dict("records"), strict=True))
    for field, a, b, area in zip(*(contacts[name].to_pylist() for name in SCHEMA.names), strict=True):
        if (field, a) in graph and (field, b) in graph:
            graph.add_edge((field, a), (field, b), area=area)
    return graph
