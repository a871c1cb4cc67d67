"""Options of the ingest stage."""

from __future__ import annotations

from dataclasses import dataclass

from tomostat.options import StageOptions, check, plugin_name


@dataclass(frozen=True, kw_only=True)
class IngestOptions(StageOptions):
    """How a volume is read in.

    Attributes
    ----------
    dataset
        Path of the dataset inside an HDF5, NeXus or zarr file; needed only where the file holds several 3D datasets.
    shape
        Shape (z, y, x) of a raw binary file.
    dtype
        Voxel type of a raw binary file, such as uint8 or ">u2".
    reader
        Name of the reader, as `tomostat info --formats` lists them; the first that recognizes the file when not given.
    """

    dataset: str | None = None
    shape: tuple[int, int, int] | None = None
    dtype: str | None = None
    reader: str | None = plugin_name(None)

    def __post_init__(self) -> None:
        if self.shape is not None:
            check(len(self.shape) == 3 and min(self.shape) > 0, "shape", self.shape, "three positive integers z y x")
