"""Surfaces of particles as binary STL, for printers and meshing programs: triangles without values."""

from __future__ import annotations

import numpy as np

from tomostat.export.meshes import MeshFormat, Surface

TRIANGLE = np.dtype([("normal", "<f4", 3), ("corner", "<f4", (3, 3)), ("attribute", "<u2")])
"""A triangle as STL stores it."""


class StlFormat(MeshFormat):
    """Coordinates x y z are micrometers; STL has no place for the unit but its header."""

    about = "surfaces as binary STL, for meshing and printing"
    suffix = "stl"

    def encode(self, surface: Surface) -> bytes:
        """Header of 80 bytes, number of triangles, triangles."""
        corner = surface.mesh.vertex[surface.mesh.face]
        normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        length = np.linalg.norm(normal, axis=1, keepdims=True)
        triangles = np.zeros(len(corner), TRIANGLE)
        triangles["corner"], triangles["normal"] = corner, normal / np.where(length > 0, length, 1)
        header = "; ".join(surface.comments()[:2]).encode("ascii", "replace")[:80].ljust(80)
        return header + np.uint32(len(triangles)).astype("<u4").tobytes() + triangles.tobytes()


FORMAT = StlFormat()
