"""Surfaces of particles as VTK's XML files, for ParaView and pyvista.

A file ``FIELD-LABEL.vtp`` holds one particle: resistance and contact at its corners, the columns that the report shows
at its triangles (so that particles are coloured by their detachment), and all columns as field data. ``FIELD.vtm``
opens all particles of a field. Format: The VTK User's Guide, 11th edition, chapter 19.3 (XML file formats).
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from tomostat.export.format import Plan, Results
from tomostat.export.meshes import MeshFormat, Surface

TYPES = {"f4": "Float32", "f8": "Float64", "i4": "Int32"}
"""VTK's names of types."""

HEAD = (
    '<VTKFile type="{}" version="1.0" byte_order="LittleEndian" header_type="UInt64" '
    'compressor="vtkZLibDataCompressor">'
)


class VtkFormat(MeshFormat):
    """A file for every particle, and one for every field that lists them."""

    about = "surfaces as VTP with resistance, contact, detachment and all columns, for ParaView"
    suffix = "vtp"

    def plan(self, results: Results) -> Plan:
        """The particles, and the lists of them."""
        plan = super().plan(results)
        lists = {
            f"{field} list": partial(write_list, field, self._files(results, field))
            for field in results.fields
            if results.particles_of(field).sizes["particle"]
        }
        return Plan({**plan.pieces, **lists}, plan.memory, plan.disk)

    def _files(self, results: Results, field: str) -> list[tuple[int, str]]:
        labels = results.particles_of(field)["label"].to_numpy().tolist()
        return [(label, self.file(field, label)) for label in labels]

    def encode(self, surface: Surface) -> bytes:
        """One piece of polygons."""
        mesh, columns = surface.mesh, surface.columns
        faces = len(mesh.face)
        ends = np.arange(3, 3 * faces + 1, 3, dtype=np.int32)
        shown = [name for name in columns.prominent if name in surface.row]
        lines = [
            HEAD.format("PolyData"),
            "<PolyData>",
            *_section("FieldData", (_array(n, np.array([v]), columns.units[n]) for n, v in surface.row.items())),
            f'<Piece NumberOfPoints="{len(mesh.vertex)}" NumberOfPolys="{faces}">',
            *_section("PointData", (_array(name, values, "1") for name, values in mesh.values.items())),
            *_section("CellData", (_array(n, np.full(faces, surface.row[n], "f4"), columns.units[n]) for n in shown)),
            *_section("Points", [_array("Points", mesh.vertex, "micrometer")]),
            *_section("Polys", [_array("connectivity", mesh.face.ravel()), _array("offsets", ends)]),
            "</Piece></PolyData></VTKFile>",
        ]
        return "\n".join(lines).encode("utf-8")


def _section(name: str, arrays: Iterable[str]) -> list[str]:
    return [f"<{name}>", *arrays, f"</{name}>"]


def _array(name: str, values: NDArray[Any], units: str = "") -> str:
    """An array (n,) or (n, components) with its unit, compressed as one block."""
    raw = np.ascontiguousarray(values).tobytes()
    packed = zlib.compress(raw)
    header = np.array([1, len(raw), 0, len(packed)] if raw else [0, 0, 0], "<u8").tobytes()
    body = base64.b64encode(header).decode() + base64.b64encode(packed if raw else b"").decode()
    components = values.shape[1] if values.ndim > 1 else 1
    about = f'type="{TYPES[values.dtype.str[1:]]}" Name={quoteattr(name)} NumberOfComponents="{components}"'
    about += f' NumberOfTuples="{len(values)}" format="binary"'
    key = f'<InformationKey name="UNITS_LABEL" location="vtkDataArray">{escape(units)}</InformationKey>' * bool(units)
    return f"<DataArray {about}>{body}{key}</DataArray>"


def write_list(field: str, files: Sequence[tuple[int, str]], folder: Path) -> None:
    """Write the file that opens all particles of a field."""
    parts = [
        f'<DataSet index="{index}" name="{label}" file={quoteattr(file)}/>' for index, (label, file) in enumerate(files)
    ]
    lines = [HEAD.format("vtkMultiBlockDataSet"), "<vtkMultiBlockDataSet>", *parts, "</vtkMultiBlockDataSet></VTKFile>"]
    (folder / f"{field}.vtm").write_text("\n".join(lines), encoding="utf-8")


FORMAT = VtkFormat()
