"""What is probably not meant as it is: refused, or told and kept with the volume; nothing is told without reason."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from shapes import phantom_block
from sources import npy
from tomostat.ingest import IngestOptions, ingest_volume
from tomostat.ingest.kernels.plausibility import has_dark_particles, looks_like_labels
from tomostat.phases import PhasesOptions, segment_phases
from tomostat.volume import open_volume


@pytest.fixture(scope="module")
def electrode():
    """Grey values and labels of a synthetic electrode."""
    block = phantom_block(noise=0.05)
    return block.grey, block.labels


def ingest(folder, array, attributes=None, **options):
    return ingest_volume(
        npy(folder / "a.npy", array), folder / "v.zarr", spacing=0.1, options=IngestOptions(**options),
        attributes=attributes,
    )  # fmt: skip


@pytest.mark.parametrize("change", [
    lambda grey: grey,
    lambda grey: grey.astype(np.float32) / 1e6,
    lambda grey: grey.astype(np.int16) * 100,
    lambda grey: np.where(grey < 60, 60, grey),
    lambda grey: np.pad(grey, ((0, 0), (20, 20), (20, 20))),
], ids=["uint8", "float of 1e-6", "int16", "pores of one value", "framed"])  # fmt: skip
def test_an_electrode_raises_no_doubt(tmp_path, electrode, change):
    assert ingest(tmp_path, change(electrode[0])).attributes["warnings"] == []


@pytest.mark.parametrize(("contrast", "fraction", "noise"), [("dry", 0.25, 0.15), ("wet", 0.45, 0.15)])
def test_dark_particles_are_told_from_bright_ones(contrast, fraction, noise):
    for image in phantom_block((12, 160, 160), contrast=contrast, active_fraction=fraction, noise=noise).grey[2::4]:
        assert not has_dark_particles(image)
        assert has_dark_particles(255 - image)


def test_dark_particles_are_told_from_bright_ones_in_real_images(data):
    """Slices of electrodes and of sand, where one bright grain touches the next; the third strip is too low to tell."""
    for path in [*sorted(data.glob("nmc_s*[a0-9].tif")), data / "nmc_fullres.tif"]:
        image = tifffile.imread(path)
        assert not has_dark_particles(image), path
        assert has_dark_particles(255 - image) == (path.name != "nmc_strip_3.tif"), path
    for path in (data / "sand_ct.tif", data / "concrete_xray.tif", data / "concrete_neutron.tif"):
        for image in tifffile.imread(path)[::16]:
            assert not has_dark_particles(image), path


def test_noise_and_ramps_raise_no_doubt():
    rng = np.random.default_rng(0)
    assert not any(has_dark_particles(rng.normal(100, 12, (n, 90)).astype(np.uint8)) for n in range(1, 90, 2))
    textures = [ndimage.gaussian_filter(rng.normal(size=(120, 120)), 4.0) for _ in range(20)]
    assert not any(has_dark_particles(texture) for texture in textures)
    assert not has_dark_particles(np.tile(np.arange(200.0), (100, 1)))
    assert not has_dark_particles(np.zeros((1, 1)))


def test_labels_masks_and_phases(tmp_path, electrode):
    labels = electrode[1]
    for array in (labels.astype(np.uint16), (labels > 0).astype(np.uint8) * 255, labels.astype(np.float32)):
        (warning,) = ingest(tmp_path, array).attributes["warnings"]
        assert "grey values look like labels" in warning
        assert "--labels" in warning
    assert looks_like_labels(labels[20] > 0)


def test_phases_with_a_web_of_single_voxels(data):
    assert looks_like_labels(tifffile.imread(data / "nmc_phases.tif")[100])


def test_dark_particles_are_refused_with_the_remedy(tmp_path, electrode):
    dark = 255 - electrode[0]
    with pytest.raises(ValueError, match=r"a.npy: particles seem to be darker than .* with invert=True"):
        ingest(tmp_path, dark)
    assert not (tmp_path / "v.zarr").exists()
    info = ingest(tmp_path, dark, invert=True)
    assert np.array_equal(open_volume(info.path).values, electrode[0])
    info = ingest(tmp_path, dark, invert=False)
    assert np.array_equal(open_volume(info.path).values, dark)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_values_turned_round_keep_their_density(tmp_path, electrode, dtype):
    dark = (255 - electrode[0]).astype(dtype)
    info = ingest(tmp_path, dark, {"density_scale": 2e-8, "density_offset": 1e-6}, invert=True)
    stored = open_volume(info.path).values.astype(float)
    delta = stored * info.attributes["density_scale"] + info.attributes["density_offset"]
    assert np.allclose(delta, dark * 2e-8 + 1e-6, rtol=1e-4)


def test_thresholds_of_values_turned_round_mean_those_of_the_file(tmp_path, electrode):
    info = ingest(tmp_path, (255 - electrode[0]).astype(np.int16), invert=True)
    fit = segment_phases(info.path, options=PhasesOptions(thresholds=(100.0, 180.0), shading=False))
    assert fit.thresholds == (32767.0 - 180.0, 32767.0 - 100.0)


def test_a_middle_slice_of_round_pores_alone_is_no_reason(tmp_path, electrode):
    """Between layers of particles there are pores in carbon-binder only."""
    odd = electrode[0].copy()
    odd[odd.shape[0] // 2] = 255 - odd[odd.shape[0] // 2]
    info = ingest(tmp_path, odd)
    assert np.array_equal(open_volume(info.path).values, odd)


def test_nan_of_values_turned_round_is_the_darkest(tmp_path, electrode):
    dark = (255 - electrode[0]).astype(np.float32)
    dark[:, :30, :30] = np.nan
    info = ingest(tmp_path, dark, invert=True)
    stored = open_volume(info.path).values
    assert np.unique(stored[:, :30, :30]).tolist() == [-np.nanmax(dark[20])]
    assert info.attributes["not_a_number"]["stored_as"] == -np.nanmax(dark[20])
