"""Options of the detect stage, and of training its network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args, get_type_hints

from tomostat.options import StageOptions, check, file_name, plugin_name
from tomostat.views import VIEWS, ViewName


@dataclass(frozen=True, kw_only=True)
class DetectOptions(StageOptions):
    """How particles are found in slices.

    Attributes
    ----------
    detector
        maskrcnn (the network), watershed (the conventional baseline), or the name of a detector of an installed
        package; `tomostat info --detectors` lists them.
    weights
        Weights of the network: shipped (the fast one), accurate (twice its time), or the path of a checkpoint.
    score
        Smallest confidence of a detection that is kept.
    tile
        Largest side in pixels of the tiles that the network processes; larger slices are cut into equal tiles.
    overlap
        Overlap of neighbouring tiles in pixels; a particle smaller than this is whole in one tile.
    batch
        Tiles that go through the network together on a GPU; on a CPU they go one by one.
    device
        auto, cpu or cuda; cuda is an error where there is no GPU.
    precision
        auto or single: auto computes features and masks in half precision where a GPU or the CPU can (bfloat16 of
        recent x86), in half of the time; single does not, so that workers of unlike kinds give nearly the same numbers.
    threads
        CPU threads of the network; results repeat bit for bit at a fixed number.
    slices
        Slices in one block of work.
    follow_material
        Discard detections without active material under them, and split those that cover a heap of particles, by the
        phases; for any detector.
    views
        Axes along which slices are searched: z, or z and others of y and x. Every axis takes as long as z; particles,
        and the voxels of each, are what most axes agree on. Worth it where particles are angular and lie close, since
        a border along the slices of one axis shows in those of the others.
    settings
        Settings of a detector of another package, by name; tomostat's own have none.
    """

    detector: str = plugin_name("maskrcnn")
    weights: str = file_name("shipped", "shipped", "fast", "accurate")
    score: float = 0.5
    tile: int = 1024
    overlap: int = 192
    batch: int = 4
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "single"] = "auto"
    threads: int = 1
    slices: int = 32
    follow_material: bool = True
    views: tuple[ViewName, ...] = ("z",)
    settings: dict[str, float | bool | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.make_files_absolute()
        check(bool(self.detector), "detector", self.detector, "the name of a detector")
        check(0 <= self.score <= 1, "score", self.score, "a number from 0 to 1")
        check(self.tile >= 64, "tile", self.tile, "64 pixels or more")
        check(0 <= self.overlap < self.tile, "overlap", self.overlap, "0 to less than the tile")
        check(self.batch >= 1, "batch", self.batch, "1 or more")
        check(self.threads >= 1, "threads", self.threads, "1 or more")
        check(self.slices >= 1, "slices", self.slices, "1 or more")
        check(self.device in ("auto", "cpu", "cuda"), "device", self.device, "auto, cpu or cuda")
        check(self.precision in ("auto", "single"), "precision", self.precision, "auto or single")
        right = self.views[:1] == ("z",) and set(self.views) <= set(VIEWS) and len({*self.views}) == len(self.views)
        check(right, "views", self.views, "z, and after it y or x or both")


@dataclass(frozen=True, kw_only=True)
class TrainOptions(StageOptions):
    """How the network is trained; the defaults adapt it to a few annotated crops.

    Attributes
    ----------
    network
        Architecture if the initial weights are random, imagenet or coco; a checkpoint contains its own.
    slices
        Slices that the network takes as input, likewise: 1, or 3 with the neighbours z - 1 and z + 1.
    steps
        Steps of gradient descent.
    batch
        Crops per step.
    crop
        Side of the square crops in pixels.
    smaller
        Share of the steps whose crops are smaller, of any two sides from 48 pixels on: slices of any size are found in.
    rate
        Largest learning rate; it rises over `warmup` steps and falls to zero along half a cosine.
    warmup
        Steps over which the rate rises.
    weight_decay
        Weight decay; norms and biases have none.
    average
        Decay of the running average of the weights, which is what is saved.
    zoom
        Smallest and largest magnification of the crops.
    outline
        Weight of the losses of boxes and masks relative to those of detection and classification.
    seed
        Seed of all random numbers.
    checkpoint_every
        Steps between checkpoints (and validations).
    threads
        CPU threads.
    workers
        Processes that draw crops, in turn; 0 to draw them in this process. A GPU needs several to be kept busy.
    device
        cpu or cuda.
    precision
        single, or half for the feature extractor (bfloat16).
    """

    network: Literal[
        "resnet10", "resnet18", "mobilenet_v3", "efficientnet_lite0", "resnet50", "resnet50_v2", "resnet101"
    ] = "resnet18"
    slices: Literal[1, 3] = 1
    steps: int = 300
    batch: int = 2
    crop: int = 256
    smaller: float = 0.0
    rate: float = 1e-4
    warmup: int = 20
    weight_decay: float = 0.02
    average: float = 0.98
    zoom: tuple[float, float] = (0.8, 1.25)
    outline: float = 1.0
    seed: int = 0
    checkpoint_every: int = 100
    threads: int = 2
    workers: int = 1
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["single", "half"] = "single"

    def __post_init__(self) -> None:
        networks = get_args(get_type_hints(TrainOptions)["network"])
        check(self.network in networks, "network", self.network, f"one of {', '.join(networks)}")
        check(self.slices in (1, 3), "slices", self.slices, "1 or 3")
        for name in ("steps", "batch", "warmup", "checkpoint_every", "threads"):
            check(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        check(self.crop >= 64, "crop", self.crop, "64 pixels or more")
        check(0 <= self.smaller <= 1, "smaller", self.smaller, "a number from 0 to 1")
        check(self.rate > 0, "rate", self.rate, "a positive number")
        check(self.outline > 0, "outline", self.outline, "a positive number")
        check(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        check(0 <= self.average < 1, "average", self.average, "a number from 0 to below 1")
        check(
            len(self.zoom) == 2 and 0 < self.zoom[0] <= self.zoom[1], "zoom", self.zoom, "two positive rising numbers"
        )
        check(self.workers >= 0, "workers", self.workers, "0 or more")
        check(self.device in ("cpu", "cuda"), "device", self.device, "cpu or cuda")
        check(self.precision in ("single", "half"), "precision", self.precision, "single or half")
