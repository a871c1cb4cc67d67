"""PhaseFit: what is stored is read back, and what is missing or damaged is named."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import examples
from tomostat.phase import Phase, PhaseFit, PhaseLevels, PhaseShares

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
FIT = PhaseFit(
    levels=PhaseLevels(pore=50.0, cbd=80.0, active=180.0),
    shares=PhaseShares(pore=0.3, cbd=0.2, active=0.5),
    thresholds=(65.0, 118.0),
    percentiles=(20.0, 220.0),
    noise=8.5,
    blur=1.1,
    shading=3.0,
    circle=(50.0, 51.5, 42.0),
    warnings=("no current collector",),
)


@st.composite
def fits(draw):
    low = draw(st.floats(-1e6, 1e6))
    return PhaseFit(
        levels=PhaseLevels(**{name: draw(st.none() | NUMBERS) for name in ("pore", "cbd", "active", "collector")}),
        shares=PhaseShares(**{name: draw(st.floats(0, 1)) for name in ("pore", "cbd", "active", "collector")}),
        thresholds=tuple(draw(st.lists(NUMBERS, max_size=3))),
        percentiles=(low, low + draw(st.floats(0.5, 1e6))),
        noise=draw(NUMBERS),
        blur=draw(st.none() | NUMBERS),
        shading=draw(NUMBERS),
        circle=draw(st.none() | st.tuples(NUMBERS, NUMBERS, NUMBERS)),
        warnings=tuple(draw(st.lists(st.text(), max_size=2))),
    )


@given(fits())
@examples(50)
def test_a_fit_is_read_back_from_json(fit):
    record = json.loads(json.dumps(fit.record()))
    assert PhaseFit.parse({**record, "options": {}, "spacing": [1, 1, 1]}, "v.zarr") == fit


def test_what_may_be_missing():
    record = {"levels": {"pore": 50}, "percentiles": [20, 220], "noise": 8}
    assert PhaseFit.parse(record, "v.zarr") == PhaseFit(
        levels=PhaseLevels(pore=50.0), percentiles=(20.0, 220.0), noise=8.0
    )


@pytest.mark.parametrize("name", ["levels", "percentiles", "noise"])
def test_what_is_missing_is_named(name):
    record = {key: value for key, value in FIT.record().items() if key != name}
    with pytest.raises(ValueError, match=f"v.zarr: labels/phases lacks '{name}'; run `tomostat phases` again"):
        PhaseFit.parse(record, "v.zarr")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"levels": None}, "damaged"),
        ({"levels": [1, 2]}, "damaged"),
        ({"levels": {"pore": "50"}}, "'50' is not a finite number"),
        ({"levels": {"gold": 50.0}}, "gold"),
        ({"shares": {"pore": None}}, "None is not a finite number"),
        ({"shares": {"pore": True}}, "True is not a finite number"),
        ({"thresholds": 5.0}, "damaged"),
        ({"thresholds": [math.nan]}, "nan is not a finite number"),
        ({"percentiles": [1.0]}, "damaged"),
        ({"percentiles": [1.0, 2.0, 3.0]}, "damaged"),
        ({"percentiles": [2.0, 2.0]}, "percentiles in labels/phases are 2 and 2; expected ascending ones"),
        ({"percentiles": [3.0, 2.0]}, "expected ascending ones"),
        ({"noise": math.inf}, "inf is not a finite number"),
        ({"noise": None}, "None is not a finite number"),
        ({"blur": "sharp"}, "'sharp' is not a finite number"),
        ({"circle": [1.0, 2.0]}, "damaged"),
        ({"circle": "round"}, "damaged"),
        ({"warnings": None}, "damaged"),
    ],
)
def test_damage_is_named(damage, message):
    with pytest.raises(ValueError, match=message) as caught:
        PhaseFit.parse({**FIT.record(), **damage}, "v.zarr")
    assert str(caught.value).startswith("v.zarr: ")
    assert str(caught.value).endswith("run `tomostat phases` again")


@pytest.mark.parametrize(("blur", "used"), [(None, 1.0), (0.0, 1.0), (0.7, 0.7)])
def test_an_unknown_blur_counts_as_one_voxel(blur, used):
    assert PhaseFit(levels=PhaseLevels(), percentiles=(0.0, 1.0), noise=1.0, blur=blur).edge_blur == used


def test_codes_are_those_on_disk():
    assert [phase.name for phase in Phase] == ["PORE", "CBD", "ACTIVE", "COLLECTOR", "OUTSIDE"]
    assert [phase.value for phase in Phase] == [0, 1, 2, 3, 4]


def test_phase_is_importable_without_zarr_and_dask():
    code = "import sys, tomostat.phase; print(sorted({'dask', 'zarr', 'numpy', 'torch'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
