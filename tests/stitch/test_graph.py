"""The merge graph as tables and as networkx."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stitching import OPTIONS, graph_of, three_balls
from tomostat.stitch import Edit
from tomostat.stitch.graph import MergeGraph, merge_graph, open_graph, relabelled, write_graph
from tomostat.stitch.kernels.merging import Reason


def test_the_graph_is_written_read_and_shown_as_networkx(tmp_path: Path) -> None:
    stack = three_balls()
    stack[20, :, 20:60] = 0
    found = graph_of(stack)
    decision, particle = found.decide(len(stack), OPTIONS)
    edits = (Edit("join", 1, 2),)
    write_graph(
        tmp_path,
        merge_graph(found.tracks, found.candidates, decision, particle, found.evidence(decision, particle), edits),
    )
    again = open_graph(tmp_path)
    assert again.edits == edits
    shown = again.to_networkx()
    assert set(shown.nodes) == set(range(1, len(found.tracks) + 1))
    assert shown.nodes[1]["voxels"] == found.tracks.volume[0]
    reasons = {str(reason.name).lower() for reason in Reason}
    for a, b, edge in shown.edges(data=True):
        assert edge["reason"] in reasons
        assert edge["joined"] == (again.tracks.particle[a] == again.tracks.particle[b]) or edge["reason"] == "join_edit"
    assert again.particle_tracks(1)[0] == 1
    assert again.particles.index.tolist() == sorted(set(again.tracks.particle) - {0})
    assert again.particles["confidence"].between(0, 1).all()


def test_a_missing_or_damaged_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="tomostat stitch"):
        open_graph(tmp_path)
    (tmp_path / "tracks.parquet").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="damaged"):
        open_graph(tmp_path)


def test_an_empty_volume_has_an_empty_graph() -> None:
    found = graph_of(np.zeros((5, 8, 8), int))
    decision, particle = found.decide(5, OPTIONS)
    graph = merge_graph(found.tracks, found.candidates, decision, particle, found.evidence(decision, particle))
    assert len(graph.tracks) == len(graph.candidates) == len(graph.particles) == 0
    assert graph.to_networkx().number_of_nodes() == 0


def test_what_became_of_particles() -> None:
    def graph(*particle: int, more: Sequence[int] = ()) -> MergeGraph:
        """One whose tracks are in these particles, with more that have no track."""
        numbers = sorted({*particle, *more} - {0})
        tracks = pd.DataFrame({"particle": particle}, index=range(1, len(particle) + 1))
        return MergeGraph(tracks, pd.DataFrame(), pd.DataFrame(index=numbers))

    before = graph(1, 1, 2, 3, 0)
    assert relabelled(before, before) == []
    assert relabelled(before, graph(1, 4, 2, 2, 0)) == ["particle 1 is now 1 and 4", "particle 3 is now 2"]
    assert relabelled(before, graph(1, 1, 2, 0, 0)) == ["particle 3 is now none"]
    assert relabelled(before, graph(1, 1, 2, 3, 5)) == ["particle 5 is new"]
    others = graph(1, 1, more=(2, 3))
    assert relabelled(others, others) == []
    assert relabelled(others, graph(1, 1, more=(3, 4))) == ["particle 2 is now none", "particle 4 is new"]
