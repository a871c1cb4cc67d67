"""Detectors by name, of other packages and given in Python; errors name the detector and the slices."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from detector_plugins import Threshold
from networks import equal
from tomostat.detect.detector import DETECTORS, Detector, as_detector, detector_name, make_detector
from tomostat.detect.detectors.watershed import WatershedDetector
from tomostat.detect.instances import detect_instances
from tomostat.detect.options import DetectOptions
from tomostat.instances import read_instances, read_metadata
from tomostat.plugins import PluginError


def options(name: str, **changes) -> DetectOptions:
    return DetectOptions(detector=f"detector_plugins:{name}", slices=4, **changes)


def recorded(folder) -> list[str]:
    """Names of the detectors in the files of a folder."""
    return [read_metadata(path).options["detector"] for path in sorted(folder.glob("*.parquet"))]


def test_built_in_detectors_have_the_names_of_their_modules():
    assert DETECTORS.built_in() == ["maskrcnn", "watershed"]
    assert make_detector(DetectOptions(detector="watershed")) == WatershedDetector()


def test_unknown_detector_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match="there is no detector 'cellpose'; known are maskrcnn, watershed"):
        make_detector(DetectOptions(detector="cellpose"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("detector_plugins:absent", "'detector_plugins:absent' cannot be imported"),
        ("no_such_module:make", "'no_such_module:make' cannot be imported"),
        ("detector_plugins:NOT_CALLABLE", "is a int; expected a function that makes a detector from DetectOptions"),
        ("detector_plugins:make_number", "makes a int; expected something callable with halo, fingerprint and memory"),
    ],
)
def test_what_is_not_a_detector_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        make_detector(DetectOptions(detector=name))


def test_detector_by_module_and_object_gets_its_settings_and_is_recorded(volume, tmp_path):
    path, grey, phases = volume
    count = detect_instances(path, tmp_path / "out", options=options("make_threshold", settings={"column": 30}))
    found = read_instances(tmp_path / "out")
    expected = Threshold(column=30)(grey, phases, 0)
    assert count == len(expected) == 4  # slices of two or three squares
    assert equal(found, expected)
    assert recorded(tmp_path / "out") == ["detector_plugins:make_threshold"] * 2
    made = make_detector(options("make_threshold"))
    assert (made.halo, made.fingerprint, made.memory((10, 20))) == (0, "threshold-1", 800)


def test_failing_detector_is_named_with_the_slices(volume, tmp_path):
    message = "detector_plugins:make_failing failed at slices 4 to 6: KeyError: 'no weights'"
    with pytest.raises(PluginError, match=message):
        detect_instances(volume[0], tmp_path / "out", options=options("make_failing"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "make_none",
            "make_none failed at slices 3 to 4: TypeError: it returned a NoneType; expected tomostat",
        ),
        ("make_small", r"make_small failed at slices 3 to 4: ValueError: .* of shape \(2, 2\); expected \(8, 9\)"),
    ],
)
def test_wrong_results_are_refused(name, message):
    block = np.zeros((2, 8, 9))
    with pytest.raises(PluginError, match=message):
        make_detector(options(name))(block.astype(np.float32), block.astype(np.uint8), 3)


def test_errors_before_any_slice_name_the_detector():
    with pytest.raises(PluginError, match=r"make_refusing failed at its options: RuntimeError: score 0\.25"):
        make_detector(options("make_refusing", score=0.25))
    with pytest.raises(PluginError, match="make_greedy failed at its estimate of memory: OverflowError"):
        make_detector(options("make_greedy")).memory((8, 8))


def test_any_callable_is_recorded_under_its_own_name(volume, tmp_path):
    """The default detector of the options is the network; it is neither run nor recorded."""

    def active_pixels(grey, phases, first):
        return Threshold()(grey, phases, first)

    for given, name in ((active_pixels, "active_pixels"), (Threshold(), "Threshold"), (WatershedDetector(), None)):
        folder = tmp_path / (name or "watershed")
        detect_instances(volume[0], folder, options=DetectOptions(slices=4), detector=given)
        assert recorded(folder) == [name or "WatershedDetector"] * 2
    assert equal(read_instances(tmp_path / "active_pixels"), read_instances(tmp_path / "Threshold"))


def test_missing_attributes_of_a_callable_have_defaults():
    made = as_detector(partial(lambda grey, phases, first: None))
    assert isinstance(made, Detector)
    assert (made.halo, made.fingerprint, made.memory((100, 100))) == (0, "", 0)
    assert as_detector(made) is made
    assert detector_name(made) == "FunctionDetector"
    with pytest.raises(TypeError, match="detector is 3; expected something callable"):
        as_detector(3)
