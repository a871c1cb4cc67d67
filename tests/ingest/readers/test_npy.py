"""Files of numpy.save that are damaged."""

from __future__ import annotations

import numpy as np

from sources import assert_refused, npy


def test_a_truncated_npy(tmp_path):
    path = npy(tmp_path / "a.npy")
    path.write_bytes(path.read_bytes()[:5000])
    assert_refused(tmp_path, path, "no npy file, or truncated")
    np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
    assert_refused(tmp_path, path, "no npy file")
