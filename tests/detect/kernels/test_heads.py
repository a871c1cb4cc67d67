"""Boxes that cut their masks."""

from __future__ import annotations

import torch

from tomostat.detect.kernels.heads import cut_sides, grow_boxes


def test_a_box_that_cuts_its_mask_is_grown_there() -> None:
    masks = torch.zeros(3, 28, 28)
    masks[0, 4:24, :20] = 1.0  # cut on the left
    masks[1, 13:15, :] = 1.0  # round particles touch the sides of their boxes at few pixels
    masks[2, :, 4:24] = 1.0  # cut above and below, but the slice ends above
    boxes = torch.tensor([[50.0, 20, 90, 60], [10, 10, 40, 40], [30, 0, 60, 80]])
    cut = cut_sides(masks, boxes, (100, 100))
    assert cut.tolist() == [[True, False, False, False], [False] * 4, [False, False, False, True]]
    grown = grow_boxes(boxes, cut, (100, 100))
    assert grown.tolist() == [[42.0, 20.0, 90.0, 60.0], [10.0, 10.0, 40.0, 40.0], [30.0, 0.0, 60.0, 96.0]]
