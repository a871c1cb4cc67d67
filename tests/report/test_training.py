"""Curves of a training."""

from __future__ import annotations

import pytest

from tomostat.report import training
from tomostat.report.training import LOSSES, write_curves


def test_curves_of_a_resumed_run_hold_every_step_once(tmp_path, monkeypatch):
    """Steps after the last saved state are run, and logged, again."""
    drawn = []
    monkeypatch.setattr(training, "save_png", lambda figure, path: drawn.append(figure))
    rows = [",".join(["step", *LOSSES]), "0,1,1,1,1,1,5", "20,1,1,1,1,1,4", "20,1,1,1,1,1,3"]
    (tmp_path / "log.csv").write_text("\n".join(rows))
    write_curves(tmp_path)
    single, median = drawn[0].axes[0].lines[-2:]
    assert median.get_label() == "masks"
    assert list(single.get_xdata()) == [0, 20]
    assert list(single.get_ydata()) == [5, 3]
    with pytest.raises(FileNotFoundError, match=r"no log\.csv"):
        write_curves(tmp_path / "none")
