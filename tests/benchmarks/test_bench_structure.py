"""The benchmark of tortuosity."""

from __future__ import annotations

import pytest

from benchmarks.bench_structure import layers, random_pores


def test_random_pores_fill_their_share() -> None:
    assert random_pores(24, 0.3, 1.5, 0).mean() == pytest.approx(0.3, abs=0.01)


@pytest.mark.slow
def test_layers_are_as_theory_says() -> None:
    pytest.importorskip("taufactor")
    assert all(result.met for result in layers())
