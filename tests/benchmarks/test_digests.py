"""Digests depend on values and shapes alone."""

from __future__ import annotations

import numpy as np

from benchmarks.digests import digest


def test_equal_values_have_equal_digests():
    values = np.arange(12).reshape(3, 4)
    assert digest(values) == digest(values.copy(order="F"))
    assert digest(values) != digest(values.reshape(4, 3))
    assert digest(values) != digest(values + 1)
    assert digest(np.array(["a", "bc"])) == digest(np.array(["a", "bc"], object)) != digest(np.array(["ab", "c"]))
