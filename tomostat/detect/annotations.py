"""The former place of `tomostat.annotations`, for scripts that were written before it moved."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tomostat.annotations import AnnotatedSlice


def read_annotations(path: str | Path) -> list[AnnotatedSlice]:
    """`tomostat.annotations.read_annotations`, which scripts should import instead."""
    from tomostat import annotations

    warnings.warn("tomostat.detect.annotations is now tomostat.annotations", DeprecationWarning, stacklevel=2)
    return annotations.read_annotations(path)
