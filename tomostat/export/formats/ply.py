"""Surfaces of particles as PLY, for Blender, MeshLab and scripts.

PLY files name their values, but few programs look for other names than those of coordinates, normals, colours and
places in a texture. So resistance and contact are written twice: by their names, and as the texture coordinates ``s``
and ``t``, which VTK and ParaView show as the two components of the array TCoords. Programs that know colours only get
those of the resistance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tomostat.export.meshes import MeshFormat, Surface
from tomostat.report.style import resistance_map

PROPERTIES = {"f4": "float", "u1": "uchar"}
"""PLY's names of types."""


class PlyFormat(MeshFormat):
    """Vertices with colours, texture coordinates and values; triangles that face outwards."""

    about = "surfaces as PLY with colours, resistance and contact, for Blender and MeshLab"
    suffix = "ply"

    def encode(self, surface: Surface) -> bytes:
        """Binary, little endian."""
        vertices = _vertices(surface)
        faces = np.empty(len(surface.mesh.face), [("count", "u1"), ("corner", "<i4", 3)])
        faces["count"], faces["corner"] = 3, surface.mesh.face
        comments = [f"comment {text}" for text in surface.comments()]
        header = ["ply", "format binary_little_endian 1.0", *comments, f"element vertex {len(vertices)}"]
        header += [f"property {PROPERTIES[dtype.str[1:]]} {name}" for name, (dtype, _) in vertices.dtype.fields.items()]
        header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
        return "\n".join(header).encode("ascii", "replace") + vertices.tobytes() + faces.tobytes()


def _vertices(surface: Surface) -> Any:
    """All properties of the vertices as one structured array."""
    values = surface.mesh.values
    columns = dict(zip("xyz", surface.mesh.vertex.T, strict=True))
    if "resistance" in values:
        shade = resistance_map()(np.ma.masked_invalid(values["resistance"] / surface.columns.highest_resistance))
        columns |= dict(zip(("red", "green", "blue"), np.rint(255 * shade[:, :3].T).astype(np.uint8), strict=True))
    columns |= dict(zip("st", values.values(), strict=False))
    columns |= values
    vertices = np.empty(len(surface.mesh.vertex), [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        vertices[name] = column
    return vertices


FORMAT = PlyFormat()
