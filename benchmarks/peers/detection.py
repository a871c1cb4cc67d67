"""A whole slice beside torchvision's own model with the same weights, each in a process of its own.

``python -m benchmarks.peers.detection ours|torchvision SIDE WEIGHTS`` prints seconds, bytes of memory taken and
objects as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from benchmarks.report import Result
from benchmarks.resources import memory
from tomostat.detect.checkpoint import file_hash, load_checkpoint, save_checkpoint
from tomostat.detect.kernels.maskrcnn import MaskRCNN
from tomostat.detect.kernels.random_slices import random_slice
from tomostat.detect.predict import NetworkDetector
from tomostat.events import peak_memory

SCORE = 0.5
"""Detections of a lower score are dropped before masks are pasted, by both."""

SEED = [90_000, 1]
"""A flat phantom with some 300 particles on 2048 x 2048 pixels."""


def torchvision_model(network: MaskRCNN, shape: tuple[int, int]) -> GeneralizedRCNN:
    """Torchvision's own model around our network's parts, at native scale."""
    network._scale_limits(shape)
    backbone = nn.Sequential(OrderedDict(body=network.body, fpn=network.fpn))
    transform = GeneralizedRCNNTransform(min(shape), max(shape), [0.5], [0.25], size_divisible=64)
    return GeneralizedRCNN(backbone, network.rpn, network.heads, transform).eval()


def _network(weights: str) -> MaskRCNN:
    network = load_checkpoint(weights).network.eval()
    network.config = replace(network.config, score=SCORE)
    network.heads.score_thresh = SCORE
    return network


def _image(side: int) -> NDArray[np.float32]:
    return random_slice(np.random.default_rng(SEED), (side, side))[0]


def measure(name: str, side: int, weights: str) -> dict[str, float]:
    """Seconds (the shorter of two runs), bytes and number of objects of one of the two."""
    torch.set_num_threads(2)
    image = _image(side)
    with tempfile.TemporaryDirectory() as folder:
        if name == "ours":
            path = Path(folder) / "limited.safetensors"
            save_checkpoint(path, _network(weights))
            detector = NetworkDetector(weights=str(path), fingerprint=file_hash(path), score=SCORE, threads=2)
            small = image[None, :512, :512]
            detector(small, small, 0)  # loads the network, compiles the kernels

            def run() -> int:
                return len(detector(image[None], image[None], 0))

        else:
            model = torchvision_model(_network(weights), image.shape)
            small = torch.from_numpy(image[None, :512, :512])
            with torch.inference_mode():
                torchvision_model(_network(weights), (512, 512))([small])

            def run() -> int:
                with torch.inference_mode():
                    return len(model([torch.from_numpy(image[None])])[0]["masks"])

        before = memory()
        count, seconds = 0, []
        for _ in range(2):
            start = time.perf_counter()
            count = run()
            seconds.append(time.perf_counter() - start)
    return {"seconds": min(seconds), "bytes": peak_memory() - before, "count": count}


def same_detections(weights: str, side: int = 512) -> float:
    """Largest difference of boxes (pixels), scores and mask probabilities; infinite where the number differs."""
    network, image = _network(weights), torch.from_numpy(_image(side)[None])
    model = torchvision_model(network, (side, side))
    with torch.inference_mode():
        ours = network(image[None])[0]
        features = model.backbone(model.transform([image])[0].tensors)
        proposals, _ = model.rpn(model.transform([image])[0], features)
        theirs = model.roi_heads(features, proposals, [(side, side)])[0][0]
        whole = model([image])[0]
    if not len(ours["boxes"]) == len(theirs["boxes"]) == len(whole["boxes"]):
        return float("inf")
    return max(float((ours[k] - theirs[k]).abs().max()) for k in ("boxes", "scores", "masks"))


def results(weights: str) -> list[Result]:
    """tomostat beside torchvision, both with the weights of a file."""
    found = [Result("boxes, scores, masks: largest difference", same_detections(weights), 1e-3, "<=")]
    for side, faster in ((1024, 1.0), (2048, 1.5)):
        ours, theirs = measure_alone("ours", side, weights), measure_alone("torchvision", side, weights)
        name = f"{side} x {side}, {theirs['count']:.0f} particles"
        found += [
            Result(f"{name}: ours", ours["seconds"], unit="s"),
            Result(f"{name}: torchvision", theirs["seconds"], unit="s"),
            Result(f"{name}: times faster", theirs["seconds"] / ours["seconds"], faster),
            Result(f"{name}: memory of ours", ours["bytes"] / 2**30, unit="GiB"),
            Result(
                f"{name}: memory, share of torchvision's {theirs['bytes'] / 2**30:.1f} GiB",
                ours["bytes"] / theirs["bytes"], 0.2 if side == 2048 else None, "<=",
            ),
        ]  # fmt: skip
    return found


def measure_alone(name: str, side: int, weights: str) -> dict[str, Any]:
    """`measure` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.peers.detection", name, str(side), weights]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    result: dict[str, Any] = json.loads(printed)
    return result


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
