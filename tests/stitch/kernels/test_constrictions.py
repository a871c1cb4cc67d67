"""Where chains of instances are cut."""

from __future__ import annotations

import numpy as np

from tomostat.stitch.kernels.constrictions import cut_constrictions


def test_a_chain_of_two_balls_is_cut_where_they_meet() -> None:
    heights = np.arange(-9.5, 10)
    area = np.concatenate([np.pi * (10**2 - heights**2)] * 2).astype(np.int32)
    following = np.append(np.arange(1, 40), -1).astype(np.int32)
    assert cut_constrictions(following, area).tolist() == [19]
    assert cut_constrictions(following[20:] - 20, area[20:]).size == 0


def test_the_least_section_goes_to_the_side_whose_areas_it_continues() -> None:
    area = np.array([300, 200, 100, 60, 160, 260, 360], np.int32)  # 60 continues the rise below it
    following = np.append(np.arange(1, 7), -1).astype(np.int32)
    assert cut_constrictions(following, area).tolist() == [2]
