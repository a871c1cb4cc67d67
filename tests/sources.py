"""A volume of grey values in files of every format that ingest reads, as other programs write them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import imagecodecs
import numpy as np
import pytest
import SimpleITK
import tifffile
import zarr

from tomostat.ingest import Reader, Source, ingest_volume

SHAPE = (6, 70, 85)
GREY = np.random.default_rng(0).integers(0, 60000, SHAPE).astype(np.uint16)


def tiff(path, array=GREY, **options):
    tifffile.imwrite(path, array, photometric="minisblack", **options)
    return path


def slices(folder, array=GREY, name="slice_{}.tif", **options):
    folder.mkdir()
    for z, image in enumerate(array):
        tiff(folder / name.format(z + 5), image, **options)
    return folder


def zarr_array(path, array=GREY, **options):
    made = zarr.create_array(path, shape=array.shape, dtype=array.dtype, **options)
    made[...] = array
    return path


def hdf5(path, datasets, **options):
    with h5py.File(path, "w") as file:
        for name, array in datasets.items():
            file.create_dataset(name, data=array, **options)
    return path


def nexus(path, step=0.05, units="um"):
    """A NeXus file with defaults, axes, a second volume and a link to the first."""
    with h5py.File(path, "w") as file:
        data = file.create_group("entry/reconstruction")
        file.attrs["default"] = "entry"
        file["entry"].attrs["default"] = "reconstruction"
        data.attrs["signal"] = "values"
        data.attrs["axes"] = ["z", "y", "x"]
        data["values"] = GREY
        for axis, n, factor in zip("zyx", SHAPE, (2, 1, 1), strict=True):
            data[axis] = np.arange(n) * step * factor
            data[axis].attrs["units"] = units
        file["entry/flats"] = GREY[:, ::2]
        file["entry/link"] = h5py.SoftLink("/entry/reconstruction/values")
    return path


def ome(path, version, array=GREY, axes="zyx", unit="nanometer", scale=(200.0, 100.0, 100.0)):
    """An OME-Zarr image as other programs write it."""
    extra = len(axes) - 3
    full = array.reshape((1,) * extra + array.shape)
    named = [{"name": a, "type": "space", "unit": unit} if a in "zyx" else {"name": a, "type": "time"} for a in axes]
    transform = {"type": "scale", "scale": [1.0] * extra + list(scale)}
    scales = [{"axes": named, "datasets": [{"path": "s0", "coordinateTransformations": [transform]}]}]
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    group.create_array("s0", shape=full.shape, dtype=full.dtype, chunks=(1,) * extra + (3, 32, 32))[...] = full
    if version == "0.4":
        group.attrs["multiscales"] = [{**scales[0], "version": "0.4"}]
    else:
        group.attrs["ome"] = {"version": version, "multiscales": scales}
    return path


def itk(path, array=GREY, spacing=None):
    """A file of ITK's formats, by its ending."""
    image = SimpleITK.GetImageFromArray(array)
    if spacing is not None:
        image.SetSpacing(spacing[::-1])  # x y z in millimeters
    SimpleITK.WriteImage(image, str(path), useCompression=path.suffix in (".nrrd", ".gz"))
    return path


def png(path, array):
    path.write_bytes(imagecodecs.png_encode(array))
    return path


def pictures(folder, array=GREY):
    folder.mkdir()
    for z, image in enumerate(array):
        png(folder / f"b{z + 5}.PNG", image)
    return folder


def raw(path, array=GREY):
    path.write_bytes(array.tobytes())
    return path


def npy(path, array=GREY):
    np.save(path, array)
    return path


SOURCES = {
    "slices": lambda d: slices(d / "s"),
    "slices, packed, in strips": lambda d: slices(d / "s", compression="zlib", rowsperstrip=16),
    "slices, big-endian": lambda d: slices(d / "s", byteorder=">"),
    "pages": lambda d: tiff(d / "a.tif"),
    "pages, packed": lambda d: tiff(d / "a.tif", compression="lzw", predictor=True),
    "pages, packed tiles": lambda d: tiff(d / "a.tif", compression="zstd", tile=(32, 48)),
    "pages, big-endian": lambda d: tiff(d / "a.tif", byteorder=">"),
    "pages, no description": lambda d: tiff(d / "a.tif", compression="deflate", metadata=None),
    "BigTIFF": lambda d: tiff(d / "a.btf", bigtiff=True, compression="zlib", rowsperstrip=7),
    "ImageJ": lambda d: tiff(d / "a.tif", imagej=True),
    "OME-TIFF": lambda d: tiff(d / "a.ome.tif", metadata={"axes": "ZYX"}, compression="zlib"),
    "HDF5": lambda d: hdf5(d / "a.h5", {"entry/data": GREY, "entry/angles": np.arange(9.0)}),
    "HDF5, packed chunks": lambda d: hdf5(d / "a.nxs", {"x": GREY}, chunks=(1, 70, 85), compression="gzip"),
    "HDF5, one frame": lambda d: hdf5(d / "a.hdf", {"x": GREY[None]}),
    "npy": lambda d: npy(d / "a.npy"),
    "npy, other order": lambda d: npy(d / "a.npy", np.asfortranarray(GREY)),
    "npy, big-endian": lambda d: npy(d / "a.npy", GREY.astype(">u2")),
    "NRRD": lambda d: itk(d / "a.nrrd"),
    "NIfTI": lambda d: itk(d / "a.nii"),
    "NIfTI, packed": lambda d: itk(d / "a.nii.gz"),
    "MetaImage": lambda d: itk(d / "a.mha"),
    "MetaImage, two files": lambda d: itk(d / "a.mhd"),
    "PNG slices": lambda d: pictures(d / "s"),
    "zarr v2": lambda d: zarr_array(d / "a.zarr", zarr_format=2, chunks=(4, 32, 32)),
    "zarr v3": lambda d: zarr_array(d / "a.zarr", zarr_format=3, chunks=(4, 32, 32)),
    "OME-Zarr 0.4": lambda d: ome(d / "a.zarr", "0.4", axes="tczyx"),
    "OME-Zarr 0.5": lambda d: ome(d / "a.zarr", "0.5"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class TextSource(Source):
    """Grey values as text, one line per row."""

    def read(self, box):
        return np.loadtxt(self.path, np.uint8, skiprows=1).reshape(self.shape)[box]


class TextReader(Reader):
    """A reader as another package would offer it: text files that begin with GREY and their shape."""

    formats = "grey values as text"

    def recognizes(self, path, first_bytes):
        return first_bytes.startswith(b"GREY")

    def find(self, path, options):
        shape = tuple(map(int, path.read_text().splitlines()[0].split()[1:]))
        return TextSource(path=path, kind="text", shape=shape, dtype=np.dtype("u1"))


TEXT_READER = TextReader()


def text(path, array):
    """A file that `TextReader` reads."""
    rows = [" ".join(map(str, row)) for row in array.reshape(-1, array.shape[-1])]
    path.write_text("\n".join(["GREY " + " ".join(map(str, array.shape)), *rows]))
    return path


def assert_refused(tmp_path, source, match, error=ValueError, names_source=True, **arguments):
    """Ingest refuses a source in one line that names it, and leaves nothing behind."""
    target = tmp_path / "out" / "v.zarr"
    with pytest.raises(error, match=match) as caught:
        ingest_volume(source, target, **{"spacing": 1.0, **arguments})
    assert "\n" not in str(caught.value)
    if names_source and error is not FileNotFoundError:
        assert Path(source).name in str(caught.value) or "v.zarr" in str(caught.value)
    assert not target.exists()
    assert not list(tmp_path.rglob("*.partial"))
