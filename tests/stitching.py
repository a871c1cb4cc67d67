"""Stacks of label images, what stitch makes of them in memory, and volumes on disk that it works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import ndimage

from shapes import ball_at
from tomostat.instances import Instances, write_instances
from tomostat.phase import Phase, PhaseFit, PhaseLevels
from tomostat.stitch import Edit
from tomostat.stitch.edits import as_corrections
from tomostat.stitch.kernels.candidates import Candidates, TrackGeometry, find_candidates, measure_tracks
from tomostat.stitch.kernels.confidence import ParticleEvidence, particle_evidence
from tomostat.stitch.kernels.link import InstanceLinks, link_slices
from tomostat.stitch.kernels.merging import Decision
from tomostat.stitch.kernels.numbering import decide_particles
from tomostat.stitch.kernels.tracks import Chains, Sections, chain_instances, index_links, measure_sections
from tomostat.stitch.options import StitchOptions
from tomostat.views import View, ViewName
from tomostat.volume import create_volume, open_volume, update_attributes, write_box

OPTIONS = StitchOptions()
UNIT = (1.0, 1.0, 1.0)

SHAPE = (70, 270, 60)  # two shards along z and along y
BLOCKS = [(64, 256, 64), (128, 256, 64), (64, 512, 64), (128, 512, 128)]


def stacks(values: Sequence[int], depth: int = 9, size: int = 7) -> st.SearchStrategy[np.ndarray]:
    """Small stacks of label images with these values."""
    shapes = st.tuples(st.integers(1, depth), st.integers(1, size), st.integers(1, size))
    return npst.arrays(np.int32, shapes, elements=st.sampled_from(values))


def disk(radius: float, centre: tuple[float, float] = (20, 20), size: int = 41) -> np.ndarray:
    y, x = np.ogrid[:size, :size]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def instances_of(stack: np.ndarray) -> Instances:
    """Detections that a stack of label images shows."""
    return Instances.concatenate([Instances.from_labels(image, z) for z, image in enumerate(stack)])


def labels_of(stack: np.ndarray, instances: Instances) -> np.ndarray:
    """Label of every instance in the stack that it comes from."""
    first = instances.run_start[instances.offset[:-1]]
    return stack.reshape(len(stack), -1)[instances.slice, first].astype(np.uint32)


@dataclass(frozen=True)
class Graph:
    """Sections, chains, tracks and candidates of a stack."""

    sections: Sections
    chains: Chains
    tracks: TrackGeometry
    candidates: Candidates

    def decide(self, slices: int, options: StitchOptions, edits: Sequence[Edit] = ()) -> tuple[Decision, np.ndarray]:
        """The decision, and the particle of every track."""
        return decide_particles(
            self.sections, self.chains.track, self.tracks, self.candidates, slices, options, as_corrections(edits)
        )

    def evidence(self, decision: Decision, particle: np.ndarray) -> ParticleEvidence:
        """What tells whether the particles of a decision are right."""
        return particle_evidence(
            self.sections, self.chains.track, self.tracks, self.candidates, decision, particle, UNIT
        )


def graph_of_links(
    instances: Instances, links: InstanceLinks, options: StitchOptions = OPTIONS, spacing: tuple[float, ...] = UNIT
) -> Graph:
    sections = measure_sections(instances)
    indexed = index_links(links, sections)
    chains = chain_instances(sections, indexed, options)
    tracks = measure_tracks(sections, chains, spacing)
    return Graph(sections, chains, tracks, find_candidates(indexed, chains, tracks))


def graph_of(stack: np.ndarray, options: StitchOptions = OPTIONS, spacing: tuple[float, ...] = UNIT) -> Graph:
    instances = instances_of(stack)
    return graph_of_links(instances, link_slices(instances, range(len(stack)), options), options, spacing)


def particles_of(stack: np.ndarray, edits: Sequence[Edit] = (), min_slices: int = 1) -> tuple[np.ndarray, Decision]:
    """Particle of every instance, and the decision."""
    options = StitchOptions(min_slices=min_slices)
    graph = graph_of(stack, options)
    decision, particle = graph.decide(len(stack), options, edits)
    return particle[graph.chains.track], decision


def three_balls() -> np.ndarray:
    shape = (40, 40, 120)
    return sum((i + 1) * ball_at(shape, (20, 20, 20 + 40 * i), 15) for i in range(3))  # type: ignore[return-value]


@dataclass(frozen=True)
class Stored:
    """A volume with phases and instance tables on disk."""

    path: Path
    folder: Path
    graph: Path

    @property
    def places(self) -> tuple[Path, Path, Path]:
        return self.path, self.folder, self.graph

    def labels(self) -> np.ndarray:
        return np.asarray(open_volume(self.path, "particles").data)


def random_balls(shape: tuple[int, int, int] = SHAPE, seed: int = 1) -> np.ndarray:
    """Balls of which some touch, some at the faces of blocks."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    centres = [(62, 30, 20), (64, 30, 41), (30, 250, 20), (30, 262, 38)]
    centres += [tuple(rng.uniform(0, n) for n in shape) for _ in range(25)]
    for number, centre in enumerate(centres, 1):
        inside = ball_at(shape, centre, 10.5 if number <= 4 else rng.uniform(5, 12))
        if not labels[inside].any() or number <= 4:
            labels[inside & (labels == 0)] = number
    return labels


def write_volume(
    folder: Path,
    labels: np.ndarray,
    step: int = 10,
    detected: np.ndarray | None = None,
    run: str = "a",
    edges: bool = False,
    views: Sequence[ViewName] = ("z",),
) -> Stored:
    """A volume whose phases are the labels' material, and tables of the slices of `detected` along some axes.

    Its grey levels are known with `edges` only: without them boundaries stay where the phases are. Other views than z
    show the labels themselves.
    """
    stored = Stored(folder / "field.zarr", folder / "instances", folder / "graph")
    phases = np.where(labels > 0, np.uint8(Phase.ACTIVE), np.uint8(Phase.PORE))
    create_volume(stored.path, shape=labels.shape, dtype="float32", spacing=(0.2, 0.2, 0.2))
    grey = ndimage.gaussian_filter((labels > 0).astype(np.float32), 1.2)
    write_box(stored.path, (0, 0, 0), grey + np.random.default_rng(1).normal(0, 0.1, grey.shape).astype(np.float32))
    create_volume(stored.path, shape=labels.shape, dtype="uint8", spacing=(0.2, 0.2, 0.2), label="phases")
    levels = PhaseLevels(pore=0.0 if edges else None, active=1.0)
    fit = PhaseFit(levels=levels, percentiles=(0.0, 1.0), noise=0.1, blur=1.2)
    update_attributes(stored.path, fit.record(), "phases")
    write_box(stored.path, (0, 0, 0), phases, "phases")
    shown = labels if detected is None else detected
    for name in views:
        turned = View(name).turn(shown if name == "z" else labels)
        inside = stored.folder / View(name).folder
        for z in range(0, len(turned), step):
            stop = min(z + step, len(turned))
            table = Instances.concatenate([Instances.from_labels(turned[i], i) for i in range(z, stop)])
            write_instances(inside / f"{z:05d}.parquet", table, range(z, stop), {"run": run, "views": list(views)})
    return stored
