"""Studies of simulated volumes: their samples and fields."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tomostat.phantom import PhantomOptions
from tomostat.phantom.scene import _intended_detachment
from tomostat.simulation import simulate_study
from tomostat.study import load_study


def test_samples_and_their_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Volumes are not made: the study is what is looked at."""
    made: list[str] = []
    monkeypatch.setattr("tomostat.simulation.simulate_volume", lambda path, *_, **__: made.append(path.stem))
    options = PhantomOptions(shape=(8, 24, 24), diameters=(2.0, 3.0))
    study = load_study(simulate_study(tmp_path / "s", {"a": 0.1, "b": 0.4}, samples=2, fields=2, options=options))
    found = {sample.name: [field.name for field in sample.fields] for sample in study.samples}
    assert found == {
        "cell-a-1": ["a-1", "a-2"], "cell-a-2": ["a-3", "a-4"], "cell-b-1": ["b-1", "b-2"], "cell-b-2": ["b-3", "b-4"],
    }  # fmt: skip
    assert [sample.condition for sample in study.samples] == ["a", "a", "b", "b"]
    assert sorted(made) == sorted(name for names in found.values() for name in names)


def test_spread_grows_as_particles_get_smaller() -> None:
    diameters = np.repeat([6.0, 11.0, 16.0], 4000)
    rng = np.random.default_rng(0)
    options = PhantomOptions(detachment_mean=0.4, detachment_spread=0.1, detachment_spread_power=1.5)
    found = _intended_detachment(options, diameters, rng).reshape(3, -1).std(axis=1)
    np.testing.assert_allclose(found, 0.1 * (11 / np.array([6, 11, 16])) ** 1.5, rtol=0.05)


@pytest.mark.parametrize("condition", ["../../x", "a/b", "", ".."])
def test_conditions_stay_in_the_folder(tmp_path: Path, condition: str) -> None:
    with pytest.raises(ValueError, match="condition"):
        simulate_study(tmp_path / "inside" / "s", {"a": 0.1, condition: 0.2}, options=PhantomOptions(shape=(8, 24, 24)))
    assert not list(tmp_path.rglob("*.*"))
