"""The detectors of cellpose and StarDist as their page shows them, with random weights, where they are installed."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tomostat import DetectOptions, detect_instances, read_instances
from tomostat.detect import make_detector

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "use-cellpose-or-stardist.md"


@pytest.fixture
def shown(tmp_path, monkeypatch) -> Any:
    """The files of the page, ready to be imported."""
    for name, text in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def installed(name: str) -> ModuleType:
    """A package, or the test is skipped."""
    return pytest.importorskip(name, reason=f"{name} is not installed")


def found_by(volume: Path, folder: Path, name: str, settings: dict[str, Any]) -> None:
    """Run a detector as the detect stage does, and look at what it found."""
    detector = make_detector(DetectOptions(detector=f"{name}_detector:make", settings=settings))
    assert detector.fingerprint.startswith(name)
    assert detector.memory((100, 100)) > 2**30
    detect_instances(volume, folder / "instances", detector=detector, options=DetectOptions(slices=8))
    found = read_instances(folder / "instances")
    assert found.shape == (80, 80)
    assert np.isin(found.slice, range(24)).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_cellpose(shown, results, tmp_path):
    installed("cellpose")
    import torch
    from cellpose.vit import CPSAM

    torch.save(CPSAM(dtype=torch.bfloat16).state_dict(), tmp_path / "random_vitl")
    found_by(results.volume("slow-1"), tmp_path, "cellpose", {"model": str(tmp_path / "random_vitl"), "diameter": 30})


@pytest.mark.filterwarnings("default")
def test_stardist(shown, results, tmp_path):
    models = installed("stardist.models")
    installed("tensorflow")
    config = models.Config2D(n_rays=8, unet_n_depth=1, unet_n_filter_base=4, net_conv_after_unet=8)
    network = models.StarDist2D(config, name="random", basedir=str(tmp_path))
    network.keras_model.save_weights(str(tmp_path / "random" / "weights_best.h5"))
    found_by(results.volume("slow-1"), tmp_path, "stardist", {"model": str(tmp_path / "random")})


def test_a_model_that_is_not_there(shown, tmp_path):
    installed("stardist")
    with pytest.raises(ValueError, match="expected the folder of a model of StarDist"):
        make_detector(DetectOptions(detector="stardist_detector:make", settings={"model": str(tmp_path)}))
