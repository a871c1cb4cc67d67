"""Checkpoints: safetensors with the network's configuration inside. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tomostat.detect.kernels.maskrcnn import MaskRCNN, NetworkConfig, build
from tomostat.files import atomic

FORMAT = "tomostat-maskrcnn-1"
FOLDER = Path(__file__).parent / "weights"
SHIPPED = {
    "fast": "0ff229079715dc93f205c234542377e2627c810b2b20675000e77e6774cf2a1c",
    "accurate": "fc715b3ae6ec09cb51deb0a906970a1365df48e0fa96f92a0ad6734d01ccae28",
}
"""SHA-256 of the weights that come along, by name; a file that differs is refused."""
DEFAULT = "fast"
"""What `shipped` means."""


def save_checkpoint(
    path: str | Path,
    network: MaskRCNN,
    *,
    metadata: Mapping[str, Any] | None = None,
    weights: Mapping[str, Tensor] | None = None,
    half: bool = False,
) -> None:
    """Write a network as safetensors with its configuration inside, whole or not at all.

    Parameters
    ----------
    path
        The file to write.
    network
        Gives the configuration and, unless `weights` is given, the weights.
    metadata
        JSON-able facts about how the weights came to be.
    weights
        Weights by name, such as a running average.
    half
        Store float16, half the size.
    """
    tensors = dict(network.state_dict() if weights is None else weights)
    dtype = torch.float16 if half else torch.float32
    tensors = {name: tensor.detach().cpu().contiguous().to(dtype) for name, tensor in tensors.items()}
    record = {"format": FORMAT, "config": json.dumps(asdict(network.config)), "about": json.dumps(metadata or {})}
    with atomic(path) as part:
        save_file(tensors, part, metadata=record)
        part.chmod(0o644)  # safetensors writes files for their owner alone


def load_checkpoint(path: str | Path) -> tuple[MaskRCNN, dict[str, Any]]:
    """Read a network and what is known about its training. Nothing is unpickled.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file is no checkpoint of this package, is damaged, or holds another architecture.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights file at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            record = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a weights file (safetensors) or is damaged: {error}") from None
    if record.get("format") != FORMAT:
        raise ValueError(f"{path} holds no tomostat network: format is {record.get('format')!r}, expected {FORMAT!r}")
    try:
        network = build(NetworkConfig.from_json(record["config"]))
        network.load_state_dict(tensors)
    except (RuntimeError, TypeError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} does not fit the architecture that it names: {reason}") from None
    return network, json.loads(record.get("about", "{}"))


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def weights_path(weights: str) -> Path:
    """Path of a weights file from the option: shipped, fast, accurate, or a path.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When a shipped file is not the one that was shipped.
    """
    name = DEFAULT if weights == "shipped" else weights
    if name not in SHIPPED:
        path = Path(weights)
        if not path.is_file():
            raise FileNotFoundError(
                f"weights: no file at {path}; give a path, or {' or '.join(map(repr, SHIPPED))} for a network that "
                "comes along"
            )
        return path
    path = FOLDER / f"{name}.safetensors"
    if file_hash(path) != SHIPPED[name]:
        raise ValueError(
            f"weights: {path} is damaged (its hash is not that of the shipped file); install tomostat again"
        )
    return path
