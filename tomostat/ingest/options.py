"""Options of the ingest stage."""

from __future__ import annotations

from dataclasses import dataclass

from tomostat.options import StageOptions, check, check_limits, plugin_name


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
        Voxel type of a raw binary file, such as uint8 or ">u2" (big-endian).
    offset
        Bytes of a header before the voxels of a raw binary file.
    channel
        Which channel, or colour, to take where a file holds several, counted from 0.
    time
        Which point in time to take where a file holds several, counted from 0.
    invert
        Whether to turn grey values round, since particles are dark in the file. When not given, they stay as they are,
        and a volume in which particles seem to be dark is refused. Grey values in options mean those of the file.
    incomplete
        Take an input of which slices, planes, chunks or linked files are missing: slices close up, and voxels that are
        not there have the fill value of the file.
    outside
        Follow links of the input to files outside its folder.
    plausible_voxel
        Smallest and largest voxel size in micrometers beyond which terminal and report warn.
    plausible_field
        Smallest and largest length of the field of view in micrometers beyond which they warn.
    reader
        Name of the reader, as `tomostat info --formats` lists them; the first that recognizes the file when not given.
    """

    dataset: str | None = None
    shape: tuple[int, int, int] | None = None
    dtype: str | None = None
    offset: int = 0
    channel: int | None = None
    time: int | None = None
    invert: bool | None = None
    incomplete: bool = False
    outside: bool = False
    plausible_voxel: tuple[float, float] = (0.002, 5.0)
    plausible_field: tuple[float, float] = (2.0, 10000.0)
    reader: str | None = plugin_name(None)

    def __post_init__(self) -> None:
        if self.shape is not None:
            check(len(self.shape) == 3 and min(self.shape) > 0, "shape", self.shape, "three positive integers z y x")
        for name in ("plausible_voxel", "plausible_field"):
            check_limits(name, getattr(self, name))
        check(self.offset >= 0, "offset", self.offset, "0 bytes or more")
        for name in ("channel", "time"):
            value = getattr(self, name)
            check(value is None or value >= 0, name, value, "0 or more")
