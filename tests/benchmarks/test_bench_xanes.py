"""The benchmark of valence maps on a small stack."""

from __future__ import annotations

from benchmarks.bench_xanes import maps


def test_a_small_stack() -> None:
    missing, error, bias, _ = maps(64)
    assert missing.met
    assert error.met
    assert abs(bias.value) < 0.03
