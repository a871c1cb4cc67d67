"""Options: read from a file with a clear error, kept as plain values, and overridden by flags."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import pytest

from tomostat.options import StageOptions, as_dict, check, from_dict, plugin_name, plugin_objects


@dataclass(frozen=True, kw_only=True)
class Sample(StageOptions):
    """Options with a field of every kind."""

    size: int = 3
    scale: float = 1.5
    fast: bool = False
    mode: Literal["a", "b"] = "a"
    limit: float | None = None
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    names: tuple[str, ...] = ()
    shares: dict[str, float] | None = None
    reader: str | None = plugin_name(None)
    extra: tuple[str, ...] = plugin_name(())

    def __post_init__(self) -> None:
        check(self.size > 0, "size", self.size, "a positive number")


def test_values_of_a_file_become_options():
    values = {
        "size": 4,
        "scale": 2,
        "mode": "b",
        "limit": 1,
        "spacing": [1, 2.0, 3],
        "names": ["x", "y"],
        "shares": {"x": 1},
        "reader": "tiff",
    }
    options = from_dict(Sample, values, "sample")
    assert options == Sample(
        size=4,
        scale=2,
        mode="b",
        limit=1,
        spacing=(1, 2.0, 3),
        names=("x", "y"),
        shares={"x": 1},
        reader="tiff",
    )
    assert options.given == set(values)


def test_options_survive_json():
    options = Sample(names=("x", "y"), spacing=(1.0, 2.0, 3.0), shares={"x": 0.5})
    assert from_dict(Sample, json.loads(json.dumps(as_dict(options))), "sample") == options


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sise": 3}, "sample: unknown key 'sise'; did you mean 'size'? known keys are extra, fast, limit"),
        ({"size": 3.0}, "sample: size is 3.0; expected int"),
        ({"size": True}, "sample: size is True; expected int"),
        ({"size": None}, "sample: size is None; expected int"),
        ({"scale": "big"}, "sample: scale is 'big'; expected float"),
        ({"scale": True}, "sample: scale is True; expected float"),
        ({"fast": 1}, "sample: fast is 1; expected bool"),
        ({"mode": "c"}, "sample: mode is 'c'; expected Literal"),
        ({"limit": "none"}, "sample: limit is 'none'; expected float | None"),
        ({"spacing": [1.0, 2.0]}, "sample: spacing is (1.0, 2.0); expected tuple"),
        ({"spacing": 1.0}, "sample: spacing is 1.0; expected tuple"),
        ({"names": ["x", 2]}, "sample: names is ('x', 2); expected tuple"),
        ({"names": "xy"}, "sample: names is 'xy'; expected tuple"),
        ({"shares": {"x": "all"}}, "sample: shares is {'x': 'all'}; expected dict"),
        ({"size": 0}, "sample: size is 0; expected a positive number"),
    ],
)
def test_a_wrong_value_is_named(values, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        from_dict(Sample, values, "sample")
    assert str(caught.value).startswith(message)


def test_a_file_names_installed_plugins_only():
    for values, name in (({"reader": "mine:Reader"}, "reader"), ({"extra": ["voids", "mine:NEW"]}, "extra")):
        with pytest.raises(ValueError, match=f"sample: {name} is 'mine:.*installed plugins only"):
            from_dict(Sample, values, "sample")
        found = plugin_objects(from_dict(Sample, values, "sample", objects=True))
        assert list(found) == [name]
    assert plugin_objects(Sample(reader="tiff", extra=("voids",), names=("no:plugin",))) == {}


def test_a_flag_overrides_a_file_and_a_default_does_not():
    file = Sample(size=4, scale=2.5, names=("x",))
    assert Sample(scale=1.5).over(file) == Sample(size=4, scale=1.5, names=("x",))
    assert Sample().over(file) == file
    assert Sample(size=3).over(file).size == 3, "the default, but given"
