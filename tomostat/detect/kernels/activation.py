"""What the network looks at, as an image."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from tomostat.detect.kernels.maskrcnn import MULTIPLE, MaskRCNN
from tomostat.options import check


def activation_map(
    network: MaskRCNN, image: Tensor, level: str = "0", kind: Literal["change", "strength"] = "change"
) -> Tensor:
    """Where the features of a network respond to a slice.

    Parameters
    ----------
    network
        The network.
    image
        (slices, ny, nx) float, scaled grey.
    level
        Pyramid level: "0" to "3" for strides 4 to 32.
    kind
        "change", the magnitude of the spatial gradient of the features: outlines of what the network recognises as
        particles are bright, cracks in them are not. "strength", the mean absolute feature.

    Returns
    -------
    Tensor
        (ny, nx) float; its 1st and 99th percentiles are 0 and 1, values beyond are clipped.

    Raises
    ------
    ValueError
        When there is no such level or kind.
    """
    check(level in ("0", "1", "2", "3"), "level", level, "0 to 3")
    check(kind in ("change", "strength"), "kind", kind, "change or strength")
    network.eval()
    ny, nx = (int(n) for n in image.shape[-2:])
    pad = (
        MULTIPLE,
        MULTIPLE + -nx % MULTIPLE,
        MULTIPLE,
        MULTIPLE + -ny % MULTIPLE,
    )  # the border of the slice is not an outline
    with torch.inference_mode():
        features = network.features(nn.functional.pad(image[None], pad, mode="replicate"))[level]
        strength = features.abs().mean(1, keepdim=True)
        if kind == "change":
            down, right = torch.gradient(features, dim=(2, 3))
            strength = (down**2 + right**2).sum(1, keepdim=True).sqrt()
        whole = (pad[2] + ny + pad[3], pad[0] + nx + pad[1])
        full = nn.functional.interpolate(strength, size=whole, mode="bilinear", align_corners=False)[0, 0]
        full = full[MULTIPLE : MULTIPLE + ny, MULTIPLE : MULTIPLE + nx]
    low, high = torch.quantile(full.flatten()[:: max(full.numel() // 10**6, 1)], torch.tensor([0.01, 0.99]))
    return ((full - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
