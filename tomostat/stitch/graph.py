"""The merge graph: tracks, candidates for joining them with evidence and decision, and the particles that follow.

It is kept as Parquet tables beside the volume, opened as networkx, and corrected by edits: pairs of tracks to cut or to
join. Tracks are numbered from 1 in the order of their first pixel, which depends on the instance tables alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from tomostat.stitch.edits import Edit, read_edits, write_edits
from tomostat.stitch.kernels.candidates import Candidates, TrackGeometry
from tomostat.stitch.kernels.confidence import ParticleEvidence
from tomostat.stitch.kernels.merging import TERMS, Decision, Reason
from tomostat.stitch.tables import read_table, write_table

TABLES = ("tracks", "candidates", "particles")
"""Names of the tables, which are those of their files."""


@dataclass(frozen=True, eq=False)
class MergeGraph:
    """Tracks, candidates and particles as tables.

    Attributes
    ----------
    tracks
        One row per track of z, index `track`: particle (0 where dropped, also by other views), first_slice, last_slice,
        sections, voxels, z, y, x (centroid in micrometers), doubtful (its masks may hold two particles).
    candidates
        One row per pair of tracks: a, b, the evidence, score, joined, reason; see
        `tomostat.stitch.kernels.merging`.
    particles
        One row per particle, index `particle`: the evidence that it is right, and its `confidence`; see
        `tomostat.stitch.kernels.confidence`.
    edits
        Corrections by hand that it follows.
    """

    tracks: pd.DataFrame
    candidates: pd.DataFrame
    particles: pd.DataFrame
    edits: tuple[Edit, ...] = ()

    def to_networkx(self) -> nx.Graph:
        """As a graph: nodes are track numbers, edges are candidates; all columns become their attributes."""
        graph: nx.Graph = nx.Graph()
        graph.add_nodes_from(self.tracks.to_dict("index").items())
        rows = self.candidates.to_dict("records")
        graph.add_edges_from((row.pop("a"), row.pop("b"), row) for row in rows)
        for edit in self.edits:
            graph.add_edge(edit.a, edit.b, joined=edit.action == "join", reason=f"{edit.action}_edit")
        return graph

    def particle_tracks(self, particle: int) -> list[int]:
        """Numbers of the tracks that make up a particle."""
        return self.tracks.index[self.tracks.particle == particle].tolist()


def write_graph(folder: Path, graph: MergeGraph) -> None:
    """Write the tables, each whole or not at all."""
    for name in TABLES:
        write_table(folder / f"{name}.parquet", pa.Table.from_pandas(getattr(graph, name)))
    write_edits(folder / "edits.json", graph.edits)


def open_graph(folder: str | Path) -> MergeGraph:
    """Open the merge graph that a run left in ``graph/NAME``.

    Raises
    ------
    FileNotFoundError
        When there is no merge graph in this folder.
    ValueError
        When its tables are damaged.
    """
    folder = Path(folder)
    if not (folder / "tracks.parquet").is_file():
        raise FileNotFoundError(f"there is no merge graph in {folder}; run `tomostat stitch` first")
    tracks, candidates, particles = (read_table(folder / f"{name}.parquet").to_pandas() for name in TABLES)
    return MergeGraph(tracks, candidates, particles, read_edits(folder / "edits.json"))


def relabelled(before: MergeGraph, after: MergeGraph) -> list[str]:
    """What corrections did to particles: a line for each whose label is another now, or several, or new."""
    now_of = after.tracks["particle"].groupby(before.tracks["particle"]).unique()
    there = set(after.particles.index.tolist())
    lines, named = [], set(before.particles.index.tolist())
    for label in before.particles.index.tolist():
        # particles that only slices along other axes show have no tracks
        now = sorted({*now_of[label].tolist()} - {0}) if label in now_of.index else sorted({label} & there)
        if now != [label]:
            lines.append(f"particle {label} is now {' and '.join(map(str, now)) or 'none'}")
        named |= {*now}
    return lines + [f"particle {label} is new" for label in sorted(there - named)]


def merge_graph(
    geometry: TrackGeometry,
    candidates: Candidates,
    decision: Decision,
    particle: NDArray[np.uint32],
    evidence: ParticleEvidence,
    edits: Sequence[Edit] = (),
) -> MergeGraph:
    """The merge graph of tracks, candidates and particles; `particle` is that of every track, (k,) uint32."""
    centre = geometry.moments[:, :3] / np.maximum(geometry.volume, 1)[:, None]
    tracks = pd.DataFrame(
        {
            "particle": particle,
            "first_slice": geometry.first,
            "last_slice": geometry.last,
            "sections": geometry.sections,
            "voxels": geometry.volume.astype(np.int64),
            **{axis: centre[:, i] for i, axis in enumerate("zyx")},
            "doubtful": geometry.ambiguous,
        },
        index=pd.RangeIndex(1, len(geometry) + 1, name="track"),
    )
    names = np.array([reason.name.lower() for reason in Reason])
    edges = {name: values for name, values in vars(candidates).items() if name not in ("a", "b")}
    terms = {name: decision.terms[:, i] for i, name in enumerate(TERMS)}
    table = pd.DataFrame({"a": candidates.a + 1, "b": candidates.b + 1, **edges, **terms})
    table["score"], table["joined"] = decision.score, decision.joined
    table["reason"] = pd.Categorical(names[decision.reason], categories=names)
    return MergeGraph(tracks, table, particle_table(evidence), tuple(edits))


def particle_table(evidence: ParticleEvidence) -> pd.DataFrame:
    """The table of particles, from the evidence that they are right."""
    known = {name: values for name, values in vars(evidence).items() if name != "particle"}
    known["confidence"] = evidence.confidence
    return pd.DataFrame(known, index=pd.Index(evidence.particle, name="particle"))
