"""z, y and x among the axes of an array, named or not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import examples
from tomostat.ingest import IngestOptions
from tomostat.ingest.axes import place_axes

FREE = IngestOptions()
VOLUME = np.arange(5 * 6 * 7).reshape(5, 6, 7)
EVERYTHING = tuple(slice(0, n) for n in VOLUME.shape)


@examples(200)
@given(st.permutations("zyxct"), st.integers(0, 2), st.integers(0, 3), st.data())
def test_named_axes_in_any_order(order, channel, time, data):
    """A volume in one channel and one time of an array whose axes stand in any order, any box of it."""
    array = np.full((4, 3, *VOLUME.shape), -1)
    array[time, channel] = VOLUME
    stored = array.transpose(["tczyx".index(axis) for axis in order])
    axes = place_axes("x", stored.shape, order, IngestOptions(channel=channel, time=time))
    low = [data.draw(st.integers(0, n - 1)) for n in VOLUME.shape]
    box = tuple(slice(a, data.draw(st.integers(a + 1, n))) for a, n in zip(low, VOLUME.shape, strict=True))
    assert axes.shape == VOLUME.shape
    assert np.array_equal(axes.select(stored, box), VOLUME[box])


@pytest.mark.parametrize(
    "names", ["ZCYX", ("depth", "Channel", "height", "width"), "qcyx", ("slice", "s", "row", "column")]
)
def test_names_as_programs_spell_them(names):
    assert place_axes("x", (5, 1, 6, 7), names, FREE).space == (0, 2, 3)


@pytest.mark.parametrize(
    ("lengths", "names", "space"),
    [
        ((5, 6, 7), None, (0, 1, 2)),
        ((6, 7), None, (None, 0, 1)),
        ((1, 6, 7), None, (0, 1, 2)),
        ((6, 7, 1), None, (None, 0, 1)),
        ((1, 1, 5, 6, 7), None, (2, 3, 4)),
        ((5, 6, 7, 1), None, (0, 1, 2)),
        ((5, 1, 6, 7), None, (0, 2, 3)),
        ((1, 5, 6, 1, 7, 1), None, (1, 2, 4)),
        ((9, 9, 3), None, (0, 1, 2)),  # too small to be a colour image
        ((1, 1, 6), None, (0, 1, 2)),
        ((7, 6, 5), "xyz", (2, 1, 0)),
        ((9, 6, 7), "cyx", (0, 1, 2)),  # more channels than any image has: slices under a wrong name
        ((9, 6, 7), "tyx", (0, 1, 2)),  # and points in time
        ((5, 6, 7), "abc", (0, 1, 2)),
        ((5, 6, 7), "yyx", (0, 1, 2)),
        ((5, 6, 7), "yx", (0, 1, 2)),
    ],
)
def test_places(lengths, names, space):
    assert place_axes("x", lengths, names, FREE).space == space


@pytest.mark.parametrize(
    ("lengths", "names", "options", "words"),
    [
        ((5,), None, {}, "x has shape 5; expected"),
        ((), None, {}, r"x has shape \(\)"),
        ((0, 5, 5), None, {}, "x has shape 0 x 5 x 5"),
        ((2, 5, 6, 7), None, {}, r"channels \(channel 2, z 5, y 6, x 7\).*take one with channel=0 to 1"),
        ((5, 60, 70, 3), None, {}, r"channels \(z 5, y 60, x 70, channel 3\)"),
        ((60, 70, 3), None, {}, r"a colour image \(RGB\)"),
        ((3, 6, 7), "cyx", {}, "take one with channel=0 to 2"),
        ((4, 5, 6, 7), "tzyx", {}, "4 points in time .*time=0 to 3"),
        ((4, 5, 6, 7), "qzyx", {}, "has axes axis 4, z 5, y 6, x 7; expected three axes"),
        ((2, 2, 2, 5, 6, 7), None, {}, "has axes axis 2, "),
        ((2, 5, 6, 7), "czyx", {"channel": 2}, "channel is 2; expected 0 to 1"),
        ((5, 6, 7), "zyx", {"time": 1}, "time is 1; expected 0 to 0"),
    ],
)
def test_what_is_no_volume(lengths, names, options, words):
    with pytest.raises(ValueError, match=words):
        place_axes("x", lengths, names, IngestOptions(**options))


def test_channels_and_times_of_axes_without_names():
    assert place_axes("x", (2, 5, 6, 7), None, IngestOptions(channel=1)).index == (1, 0, 0, 0)
    assert place_axes("x", (2, 5, 6, 7), None, IngestOptions(time=1)).index == (1, 0, 0, 0)
    assert place_axes("x", (5, 60, 70, 3), None, IngestOptions(channel=2)).index == (0, 0, 0, 2)
    assert place_axes("x", (2, 3, 5, 6, 7), None, IngestOptions(channel=2, time=1)).index == (1, 2, 0, 0, 0)


def test_orientations_of_pictures():
    """All eight, against what the standard says of the first row and the first column."""
    shown = np.arange(12).reshape(3, 4)
    stored = {
        1: shown, 2: shown[:, ::-1], 3: shown[::-1, ::-1], 4: shown[::-1],
        5: shown.T, 6: shown[:, ::-1].T, 7: shown[::-1, ::-1].T, 8: shown[::-1].T,
    }  # fmt: skip
    for orientation, array in stored.items():
        axes = place_axes("x", array.shape, "yx", FREE).oriented(orientation)
        assert np.array_equal(axes.select(array, (slice(0, 1), slice(0, 3), slice(0, 4)))[0], shown), orientation
        assert np.array_equal(axes.select(array, (slice(0, 1), slice(1, 3), slice(0, 2)))[0], shown[1:, :2]), (
            orientation
        )
    with pytest.raises(ValueError, match="orientation is 9; expected 1 to 8"):
        axes.oriented(9)
