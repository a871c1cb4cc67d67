"""The merge graph as tables and as networkx."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stitching import OPTIONS, graph_of, three_balls
from tomostat.stitch import Edit
from tomostat.stitch.graph import merge_graph, open_graph, write_graph
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
