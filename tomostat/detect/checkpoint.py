"""Checkpoints: weights of a network in safetensors, with its configuration and training. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tomostat.detect.kernels.architecture import NetworkConfig
from tomostat.detect.kernels.maskrcnn import MaskRCNN, build
from tomostat.files import atomic, new_file_mode

FORMAT = "tomostat-maskrcnn-1"
FOLDER = Path(__file__).parent / "weights"
SHIPPED = {
    "fast": "4a4df0137c1c0a981009e37a625782df3489d7a40972bb023d6e8fc30e87e74c",
    "accurate": "fc715b3ae6ec09cb51deb0a906970a1365df48e0fa96f92a0ad6734d01ccae28",
}
"""SHA-256 of the shipped weights, by name; a file that differs is refused."""
DEFAULT = "fast"
"""Name that `shipped` stands for."""


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """How the weights of a checkpoint were trained.

    Attributes
    ----------
    step
        Steps of descent.
    options
        Options of the training, as they were written at that time.
    share
        Share of the trained weights in the mean with the initial ones; 1 where no mean was taken.
    validation
        Score of the weights on the validation slices; None where they were not validated.
    history
        Further facts, such as earlier trainings.
    """

    step: int = 0
    options: Mapping[str, object] = field(default_factory=dict)
    share: float = 1.0
    validation: float | None = None
    history: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> TrainingRecord:
        """The record from a checkpoint's metadata; facts without an attribute of their own are the history."""
        facts = json.loads(text)
        known = {name: facts.pop(name) for name in ("step", "options", "share", "validation") if name in facts}
        return cls(**known, history=facts)

    def to_json(self) -> str:
        """The record for a checkpoint's metadata."""
        facts: dict[str, object] = {"step": self.step}
        if self.options:
            facts["options"] = dict(self.options)
        if self.share != 1:
            facts["share"] = self.share
        if self.validation is not None:
            facts["validation"] = self.validation
        return json.dumps({**facts, **self.history})


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a checkpoint tells about its weights.

    Attributes
    ----------
    config
        Architecture of the network.
    training
        How it was trained.
    """

    config: NetworkConfig
    training: TrainingRecord


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A network as it was read from a file.

    Attributes
    ----------
    network
        The network with its weights, on the CPU, in training mode.
    training
        How it was trained.
    """

    network: MaskRCNN
    training: TrainingRecord


def save_checkpoint(
    path: str | Path,
    network: MaskRCNN,
    *,
    training: TrainingRecord | None = None,
    weights: Mapping[str, Tensor] | None = None,
    half: bool = False,
) -> None:
    """Write a network as safetensors together with its configuration, whole or not at all.

    Parameters
    ----------
    path
        The file to write.
    network
        Gives the configuration and, unless `weights` is given, the weights.
    training
        How the weights were trained.
    weights
        Weights by name, such as a running average.
    half
        Store float16, half the size.
    """
    tensors = dict(network.state_dict() if weights is None else weights)
    dtype = torch.float16 if half else torch.float32
    tensors = {name: tensor.detach().cpu().contiguous().to(dtype) for name, tensor in tensors.items()}
    about = "{}" if training is None else training.to_json()
    metadata = {"format": FORMAT, "config": json.dumps(asdict(network.config)), "about": about}
    with atomic(path) as part:
        save_file(tensors, part, metadata=metadata)
        part.chmod(new_file_mode())  # safetensors lets only the owner read its files


def read_header(path: str | Path) -> Header:
    """Read the architecture of a network and how it was trained, but not its weights; raises as `load_checkpoint`."""
    with _opened(Path(path)) as file:
        return _header(Path(path), file)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a network and how it was trained. Nothing is unpickled.

    Parameters
    ----------
    path
        A file that `save_checkpoint` wrote.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file is not a checkpoint of this package, is damaged, or its weights do not fit its configuration.
    """
    path = Path(path)
    with _opened(path) as file:
        header = _header(path, file)
        with _fitting(path):
            _check_shapes(header.config, {name: file.get_slice(name).get_shape() for name in file.keys()})
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}
    with _fitting(path):
        network = build(header.config)
        network.load_state_dict(tensors)
    return Checkpoint(network, header.training)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A checkpoint opened by `safe_open`; errors in reading it name the file."""
    if not path.is_file():
        raise FileNotFoundError(f"no weights file at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a weights file (safetensors) or is damaged: {error}") from None


def _header(path: Path, file: Any) -> Header:
    """What an open checkpoint tells about its weights."""
    metadata = file.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path} holds no tomostat network: format is {metadata.get('format')!r}, expected {FORMAT!r}")
    with _fitting(path):
        config = NetworkConfig.from_json(metadata["config"])
    return Header(config=config, training=TrainingRecord.from_json(metadata.get("about", "{}")))


def _check_shapes(config: NetworkConfig, found: Mapping[str, Sequence[int]]) -> None:
    """Compare the shapes that a file lists with those of its architecture, before any takes memory."""
    with torch.device("meta"):
        expected = {name: list(tensor.shape) for name, tensor in build(config).state_dict().items()}
    for name in sorted({*expected, *found}):
        if list(found.get(name, [])) != expected.get(name, []) or (name in found) != (name in expected):
            has, needs = (list(shapes[name]) if name in shapes else None for shapes in (found, expected))
            raise ValueError(f"weights {name} have shape {has}, the architecture needs {needs}")


@contextmanager
def _fitting(path: Path) -> Iterator[None]:
    """Errors of an architecture and the weights that go into it name the file."""
    try:
        yield
    except (RuntimeError, TypeError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} does not fit the architecture that it names: {reason}") from None


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal; computed again in a process only when size or time of the file change."""
    path = Path(path).resolve()
    status = path.stat()
    return _hash(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)
def _hash(path: Path, size: int, modified: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def weights_path(weights: str) -> Path:
    """Path of a weights file from the option: shipped, fast, accurate, or a path.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When a shipped file was changed.
    """
    name = DEFAULT if weights == "shipped" else weights
    if name not in SHIPPED:
        path = Path(weights)
        if not path.is_file():
            raise FileNotFoundError(
                f"weights: no file at {path}; give a path, or {' or '.join(map(repr, SHIPPED))} for a shipped network"
            )
        return path
    path = FOLDER / f"{name}.safetensors"
    if file_hash(path) != SHIPPED[name]:
        raise ValueError(
            f"weights: {path} is damaged (its hash is not that of the shipped file); install tomostat again"
        )
    return path
