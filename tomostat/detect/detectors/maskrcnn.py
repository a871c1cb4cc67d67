"""Mask R-CNN, with the weights that the options name."""

from __future__ import annotations

from tomostat.detect.checkpoint import file_hash, read_header, weights_path
from tomostat.detect.options import DetectOptions
from tomostat.detect.predict import NetworkDetector


def make(options: DetectOptions) -> NetworkDetector:
    """The network as a detector.

    Raises
    ------
    ValueError, FileNotFoundError
        When the weights are not found.
    """
    path = weights_path(options.weights)
    return NetworkDetector(
        weights=str(path.resolve()),
        fingerprint=file_hash(path),
        halo=read_header(path).config.halo,
        score=options.score,
        tile=options.tile,
        overlap=options.overlap,
        batch=options.batch,
        device=options.device,
        precision=options.precision,
        threads=options.threads,
    )
