"""Architectures, and anchors that fit annotations."""

from __future__ import annotations

import numpy as np
import pytest

from tomostat.detect.kernels.architecture import NetworkConfig, anchor_sizes


def test_anchors_span_the_annotated_sizes():
    sizes = np.concatenate(anchor_sizes(np.linspace(10, 100, 500)))
    assert np.all(np.diff(sizes) > 0)
    assert sizes[0] == pytest.approx(11.8, abs=0.2)
    assert sizes[-1] == pytest.approx(98.2, abs=0.2)
    with pytest.raises(ValueError, match="at least one annotated particle"):
        anchor_sizes([])


def test_bad_config():
    with pytest.raises(ValueError, match="backbone is 'vgg'"):
        NetworkConfig(backbone="vgg")
    with pytest.raises(ValueError, match="slices is 2"):
        NetworkConfig(slices=2)
