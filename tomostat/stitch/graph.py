"""The merge graph: tracks, the candidates between them with evidence and verdict, and the particles that follow.

Kept as Parquet tables beside the volume, opened as networkx, and corrected by edits: pairs of tracks to cut or to join.
Tracks are numbered from 1 in the order of their first pixel, which depends on the instance tables alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import networkx as nx
import numba
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tomostat.files import atomic, write_text
from tomostat.stitch.kernels.merging import TERMS, Bodies, Candidates, Decision, Reason, decide, find
from tomostat.stitch.kernels.tracks import Sections
from tomostat.stitch.options import StitchOptions


@dataclass(frozen=True)
class Edit:
    """A person's correction.

    Attributes
    ----------
    action
        "cut" keeps two tracks in different particles, "join" brings them into one.
    a, b
        Track numbers.
    """

    action: Literal["cut", "join"]
    a: int
    b: int


@dataclass(frozen=True, eq=False)
class MergeGraph:
    """Tracks and candidates as tables.

    Attributes
    ----------
    tracks
        One row per track, index `track`: particle (0 where dropped), first_slice, last_slice, sections, voxels, z, y, x
        (centroid in micrometers), doubtful.
    candidates
        One row per pair of tracks: a, b, the evidence, score, joined, reason.
    edits
        Corrections that went into it.
    """

    tracks: pd.DataFrame
    candidates: pd.DataFrame
    edits: tuple[Edit, ...] = ()

    def to_networkx(self) -> nx.Graph:
        """Nodes are track numbers, edges carry evidence, `joined` and `reason`; all columns become attributes."""
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
    for name in ("tracks", "candidates"):
        write_table(folder / f"{name}.parquet", pa.Table.from_pandas(getattr(graph, name)))
    write_edits(folder / "edits.json", graph.edits)


def open_graph(folder: str | Path) -> MergeGraph:
    """Open the merge graph that a run left in ``graph/NAME``.

    Raises
    ------
    FileNotFoundError
        When there is none.
    ValueError
        When its tables are damaged.
    """
    folder = Path(folder)
    if not (folder / "tracks.parquet").is_file():
        raise FileNotFoundError(f"no merge graph at {folder}; run `tomostat stitch` first")
    tracks, candidates = (read_table(folder / f"{name}.parquet").to_pandas() for name in ("tracks", "candidates"))
    return MergeGraph(tracks, candidates, read_edits(folder / "edits.json"))


def write_edits(path: str | Path, edits: Iterable[Edit]) -> None:
    """Write edits as `read_edits` reads them, whole or not at all."""
    write_text(path, json.dumps([vars(edit) for edit in edits], indent=1))


def read_edits(path: str | Path) -> tuple[Edit, ...]:
    """Edits from a JSON file: a list of objects with ``action`` ("cut" or "join"), ``a`` and ``b`` (track numbers).

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no such file or it holds something else.
    """
    path = Path(path)
    try:
        return tuple(Edit(**entry) for entry in json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, TypeError) as error:
        raise ValueError(
            f'{path} is no list of edits ({error}); expected [{{"action": "cut", "a": 3, "b": 7}}, ...]'
        ) from None


def known_edits(path: Path) -> tuple[Edit, ...]:
    """Corrections by hand that are kept for a field; none where nothing was corrected."""
    return read_edits(path) if path.exists() else ()


def write_table(path: Path, table: pa.Table, rows: int | None = None) -> None:
    """Write one Parquet file, whole or not at all; `rows` per row group."""
    with atomic(path) as part:
        pq.write_table(table, part, compression="zstd", row_group_size=rows)


def read_table(path: Path, **choice: Any) -> pa.Table:
    """Read one Parquet file.

    Raises
    ------
    FileNotFoundError, ValueError
        When it is missing or damaged.
    """
    try:
        return pq.read_table(path, **choice)
    except FileNotFoundError:
        raise FileNotFoundError(f"no table at {path}; run `tomostat stitch` anew") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is damaged ({error}); run `tomostat stitch` anew") from None


def check_edits(edits: Iterable[Edit], count: int) -> None:
    """Refuse edits that name unknown tracks or contradict each other.

    Raises
    ------
    ValueError
        With the first edit that cannot be.
    """
    parent = np.arange(count + 1)
    edits = tuple(edits)
    for edit in edits:
        if edit.action not in ("cut", "join"):
            raise ValueError(f"edit {edit.action!r} is unknown; expected 'cut' or 'join'")
        for track in (edit.a, edit.b):
            if not 1 <= track <= count:
                raise ValueError(
                    f"{edit.action} {edit.a} {edit.b}: there is no track {track}; tracks go from 1 to {count}"
                )
        if edit.a == edit.b:
            raise ValueError(f"{edit.action} {edit.a} {edit.b}: expected two different tracks")
        if edit.action == "join":
            parent[find(parent, edit.a)] = find(parent, edit.b)
    for edit in edits:
        if edit.action == "cut" and find(parent, edit.a) == find(parent, edit.b):
            raise ValueError(f"cut {edit.a} {edit.b}: other edits join these two tracks; remove one or the other")


def decide_particles(
    sections: Sections,
    track: NDArray[np.int32],
    bodies: Bodies,
    candidates: Candidates,
    slices: int,
    options: StitchOptions,
    edits: Sequence[Edit] = (),
) -> tuple[Decision, NDArray[np.uint32]]:
    """Decide all candidates and number the particles.

    Returns
    -------
    Decision
        What became of the candidates.
    ndarray
        Particle of every track, (k,) uint32: dense, ordered by first pixel; 0 where dropped. With edits, particles that
        no edit touches keep the numbers they have without, and new ones are numbered after them.
    """
    check_edits(edits, len(bodies))
    plain = decide(bodies, candidates)
    kept = _kept(plain.root, sections, track, bodies, slices, options)
    particle = _number(plain.root, kept)
    if not edits:
        return plain, particle
    cuts, joins = (_pairs(edits, action) for action in ("cut", "join"))
    decision = _join(decide(bodies, candidates, _spread(cuts, joins, len(bodies))), candidates, joins)
    for a, b in cuts:
        if decision.root[a] == decision.root[b]:
            raise ValueError(f"cut {a + 1} {b + 1}: a join brings these two together by way of others; cut those too")
    kept = _kept(decision.root, sections, track, bodies, slices, options)
    return decision, _renumber(decision.root, kept, plain.root, particle)


def _pairs(edits: Sequence[Edit], action: str) -> NDArray[np.int64]:
    """Tracks, counted from 0, of all edits of one kind, (k, 2)."""
    return np.array([(e.a - 1, e.b - 1) for e in edits if e.action == action], np.int64).reshape(-1, 2)


def _spread(cuts: NDArray[np.int64], joins: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Cuts between all tracks that joins put beside those that were cut."""
    parent = np.arange(count)
    for a, b in joins:
        parent[find(parent, a)] = find(parent, b)
    group = np.array([find(parent, i) for i in range(count)])
    pairs = [
        (x, y) for a, b in cuts for x in np.flatnonzero(group == group[a]) for y in np.flatnonzero(group == group[b])
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _join(decision: Decision, candidates: Candidates, joins: NDArray[np.int64]) -> Decision:
    """Bring particles together as a person wants."""
    parent = decision.root.astype(np.int64)
    for a, b in joins:
        c, d = find(parent, a), find(parent, b)
        parent[max(c, d)] = min(c, d)
    root = np.array([find(parent, i) for i in range(len(parent))], np.int32)
    joined = root[candidates.a] == root[candidates.b]
    reason = np.where(joined & ~decision.joined, np.int8(Reason.JOIN_EDIT), decision.reason)
    return replace(decision, root=root, joined=joined, reason=reason)


def _kept(
    root: NDArray[np.int32],
    sections: Sections,
    track: NDArray[np.int32],
    bodies: Bodies,
    slices: int,
    options: StitchOptions,
) -> NDArray[np.bool_]:
    """Tracks whose particle is seen in enough slices, or cut by the first or last one."""
    seen = _slices_seen(root, sections.slice, track)
    border = np.zeros(len(bodies), bool)
    border[root[(bodies.first == 0) | (bodies.last == slices - 1)]] = True
    kept: NDArray[np.bool_] = ((seen >= min(options.min_slices, slices)) | border)[root]
    return kept


@numba.njit(cache=True, nogil=True)
def _slices_seen(root, slices, track):  # type: ignore[no-untyped-def]
    """Number of slices that each root is seen in; rows come ordered by slice."""
    seen = np.zeros(len(root), np.int32)
    latest = np.full(len(root), -1, np.int32)
    for i in range(len(track)):
        r = root[track[i]]
        if latest[r] != slices[i]:
            latest[r] = slices[i]
            seen[r] += 1
    return seen


def _number(root: NDArray[np.int32], kept: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Dense numbers from 1 in the order of roots, 0 where not kept."""
    leads = kept & (root == np.arange(len(root)))
    numbers = np.cumsum(leads).astype(np.uint32)
    return np.where(kept, numbers[root], np.uint32(0)) if len(root) else numbers


def _renumber(
    root: NDArray[np.int32], kept: NDArray[np.bool_], old_root: NDArray[np.int32], old: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """Numbers after edits: a particle keeps the smallest number whose first track it holds, new ones follow."""
    count = len(root)
    never = np.uint32(2**32 - 1)
    number = np.full(count, never, np.uint32)
    firsts = np.flatnonzero((old_root == np.arange(count)) & (old > 0))
    np.minimum.at(number, root[firsts], old[firsts])
    new = np.flatnonzero(kept & (root == np.arange(count)) & (number == never))
    number[new] = int(old.max(initial=0)) + 1 + np.arange(len(new), dtype=np.uint32)
    return np.where(kept, number[root], np.uint32(0))


def as_graph(
    bodies: Bodies,
    candidates: Candidates,
    decision: Decision,
    particle: NDArray[np.uint32],
    edits: Sequence[Edit] = (),
) -> MergeGraph:
    """The tables that are written and shown."""
    centre = bodies.moments[:, :3] / np.maximum(bodies.volume, 1)[:, None]
    tracks = pd.DataFrame(
        {
            "particle": particle,
            "first_slice": bodies.first,
            "last_slice": bodies.last,
            "sections": bodies.sections,
            "voxels": bodies.volume.astype(np.int64),
            **{axis: centre[:, i] for i, axis in enumerate("zyx")},
            "doubtful": bodies.doubtful,
        },
        index=pd.RangeIndex(1, len(bodies) + 1, name="track"),
    )
    names = np.array([reason.name.lower() for reason in Reason])
    edges = {name: values for name, values in vars(candidates).items() if name not in ("a", "b")}
    terms = {name: decision.terms[:, i] for i, name in enumerate(TERMS)}
    table = pd.DataFrame({"a": candidates.a + 1, "b": candidates.b + 1, **edges, **terms})
    table["score"], table["joined"] = decision.score, decision.joined
    table["reason"] = pd.Categorical(names[decision.reason], categories=names)
    return MergeGraph(tracks, table, tuple(edits))
