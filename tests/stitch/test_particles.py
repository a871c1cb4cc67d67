"""The stitch stage: the same labels for any blocks, workers and interruptions; what cannot be is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster

from tomostat.execution import Execution
from tomostat.instances import Instances, write_instances
from tomostat.phase import Phase
from tomostat.stitch import Edit, edit_particles, open_graph, read_edits, stitch_particles
from tomostat.stitch.edit import PENDING
from tomostat.stitch.options import StitchOptions
from tomostat.stitch.tasks import Job, paint_block
from tomostat.volume import create_volume, describe, open_volume, read_box, write_box

SHAPE = (70, 270, 60)  # two shards along z and along y
BLOCKS = [(64, 256, 64), (128, 256, 64), (64, 512, 64), (128, 512, 128)]


@dataclass(frozen=True)
class Field:
    """A volume with instance tables."""

    path: Path
    folder: Path
    graph: Path

    @property
    def places(self) -> tuple[Path, Path, Path]:
        return self.path, self.folder, self.graph

    def labels(self) -> np.ndarray:
        return np.asarray(open_volume(self.path, "particles").data)


def balls(shape: tuple[int, int, int] = SHAPE, seed: int = 1) -> np.ndarray:
    """Balls of which some touch, some at the faces of blocks."""
    rng = np.random.default_rng(seed)
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    labels = np.zeros(shape, np.int32)
    centres = [(62, 30, 20), (64, 30, 41), (30, 250, 20), (30, 262, 38)]
    centres += [tuple(rng.uniform(0, n) for n in shape) for _ in range(25)]
    for number, (cz, cy, cx) in enumerate(centres, 1):
        radius = 10.5 if number <= 4 else rng.uniform(5, 12)
        inside = (z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 <= radius**2
        if not labels[inside].any() or number <= 4:
            labels[inside & (labels == 0)] = number
    return labels


def write_field(
    folder: Path, labels: np.ndarray, step: int = 10, detected: np.ndarray | None = None, about: str = "a"
) -> Field:
    """A volume whose phases are the labels' material, and tables of the slices of `detected`."""
    field = Field(folder / "field.zarr", folder / "instances", folder / "graph")
    phases = np.where(labels > 0, np.uint8(Phase.ACTIVE), np.uint8(Phase.PORE))
    create_volume(field.path, shape=labels.shape, dtype="uint8", spacing=(0.2, 0.2, 0.2))
    create_volume(field.path, shape=labels.shape, dtype="uint8", spacing=(0.2, 0.2, 0.2), label="phases")
    write_box(field.path, (0, 0, 0), phases, "phases")
    shown = labels if detected is None else detected
    for z in range(0, len(labels), step):
        stop = min(z + step, len(labels))
        part = [Instances.from_labels(shown[i], i) for i in range(z, stop)]
        metadata = {"slices": [z, stop], "run": about}
        write_instances(field.folder / f"{z:05d}.parquet", Instances.concatenate(part), metadata)
    return field


def damaged(labels: np.ndarray, seed: int = 3) -> np.ndarray:
    """A tenth of the instances missed."""
    rng = np.random.default_rng(seed)
    keep = rng.random((len(labels), labels.max() + 1)) > 0.1
    return np.where(keep[np.arange(len(labels))[:, None, None], labels], labels, 0)


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as found,
    ):
        yield found


def test_true_instances_give_the_true_particles(tmp_path: Path) -> None:
    labels = balls()
    field = write_field(tmp_path, labels)
    graph = stitch_particles(*field.places, options=StitchOptions(min_slices=1))
    found = field.labels()
    assert same_partition(found, labels)
    firsts = np.unique(found, return_index=True)[1][1:]
    assert (np.diff(firsts) > 0).all()  # numbered by their first voxel
    assert found.max() == len(firsts) == graph.tracks.particle.max()
    info = describe(field.path, "particles")
    assert info.dtype == np.uint32
    level = np.asarray(open_volume(field.path, "particles", level=1).data)
    halved = found[::2, ::2, ::2][tuple(slice(0, n) for n in level.shape)]
    np.testing.assert_array_equal(level, halved)


def test_labels_do_not_depend_on_blocks_workers_or_tables(tmp_path: Path, client: Client) -> None:
    labels = balls()
    detected = damaged(labels)
    field = write_field(tmp_path, labels, detected=detected)
    stitch_particles(*field.places, block=BLOCKS[0])
    expected = field.labels()
    assert len(np.unique(expected)) > 15
    for block in BLOCKS[1:]:
        stitch_particles(*field.places, block=block)
        np.testing.assert_array_equal(field.labels(), expected)
    stitch_particles(*field.places, block=BLOCKS[0], execution=Execution(client=client))
    np.testing.assert_array_equal(field.labels(), expected)
    other = write_field(tmp_path / "other", labels, step=7, detected=detected)
    stitch_particles(*other.places)
    np.testing.assert_array_equal(other.labels(), expected)


def test_touching_particles_at_block_faces_stay_apart(tmp_path: Path) -> None:
    labels = balls()
    field = write_field(tmp_path, labels)
    stitch_particles(*field.places, block=BLOCKS[0])
    found = field.labels()
    inside = [int(np.bincount(found[labels == number]).argmax()) for number in (1, 2, 3, 4)]
    assert len(set(inside)) == 4


def test_missed_slices_are_filled(tmp_path: Path) -> None:
    labels = balls()
    detected = labels.copy()
    detected[[20, 21, 63, 64]] = 0
    field = write_field(tmp_path, labels, detected=detected)
    stitch_particles(*field.places, options=StitchOptions(min_slices=1))
    found = field.labels()
    assert np.mean(found[labels > 0] > 0) > 0.98
    assert same_partition(found[[19, 22]], labels[[19, 22]])


def test_an_interrupted_run_goes_on_and_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = balls()
    field = write_field(tmp_path, labels)
    stitch_particles(*field.places)
    expected = field.labels()
    painted: list[str] = []

    def paint_one(job: Job, block: object) -> int:
        if painted:
            raise OSError("the disk is full")
        painted.append("once")
        return paint_block(job, block)  # type: ignore[arg-type]

    monkeypatch.setattr("tomostat.stitch.particles.paint_block", paint_one)
    markers = tmp_path / "markers"
    with pytest.raises(OSError, match="disk"):
        stitch_particles(*field.places, markers=markers, block=BLOCKS[0])
    before = {path: path.stat().st_mtime_ns for path in field.graph.rglob("*.parquet")}
    monkeypatch.undo()
    stitch_particles(*field.places, markers=markers, block=BLOCKS[0])
    np.testing.assert_array_equal(field.labels(), expected)
    assert {path: path.stat().st_mtime_ns for path in field.graph.rglob("*.parquet")} == before


def test_no_instance_gives_no_label(tmp_path: Path) -> None:
    labels = np.zeros((5, 30, 30), np.int32)
    field = write_field(tmp_path, labels, step=2)
    graph = stitch_particles(*field.places)
    assert not field.labels().any()
    assert len(graph.tracks) == len(graph.candidates) == 0
    assert graph.to_networkx().number_of_nodes() == 0


def test_some_tables_without_an_instance(tmp_path: Path) -> None:
    labels = balls((40, 50, 50), seed=5)
    labels[:12] = labels[28:] = 0
    field = write_field(tmp_path, labels, step=6)
    stitch_particles(*field.places, options=StitchOptions(min_slices=1))
    assert same_partition(field.labels(), labels)


def test_one_slice_is_a_volume(tmp_path: Path) -> None:
    labels = balls((1, 200, 200), seed=2)
    field = write_field(tmp_path, labels)
    stitch_particles(*field.places)
    assert labels.max() > 0
    assert same_partition(field.labels(), labels)


def test_links_stand_with_their_evidence(tmp_path: Path) -> None:
    labels = balls((30, 60, 60), seed=4)
    field = write_field(tmp_path, labels)
    stitch_particles(*field.places)
    table = pq.read_table(field.graph / "links")
    assert {"first", "second", "gap", "overlap", "iou", "containment", "clean"} <= set(table.column_names)
    assert table.num_rows > 20


def fragile(tmp_path: Path) -> tuple[Field, Edit, np.ndarray]:
    """A field of two balls of which one is held together by the graph alone, the cut for it, and its labels."""
    z, y, x = np.ogrid[:70, :270, :60]
    first = (z - 35) ** 2 + (y - 40) ** 2 + (x - 30) ** 2 <= 24**2
    second = (z - 35) ** 2 + (y - 230) ** 2 + (x - 30) ** 2 <= 24**2
    labels = first + 2 * second.astype(np.int32)
    detected = np.where((np.abs(z - 35) <= 2) & first, 0, labels)
    field = write_field(tmp_path, labels, detected=detected)
    graph = stitch_particles(*field.places, block=BLOCKS[0])
    tracks = graph.tracks[graph.tracks.particle == graph.tracks.particle[1]].sort_values("voxels").index[-2:]
    return field, Edit("cut", int(tracks[0]), int(tracks[1])), field.labels()


def test_a_cut_repaints_only_what_it_parts_and_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    field, cut, before = fragile(tmp_path)
    assert set(np.unique(before)) == {0, 1, 2}
    blocks: list[str] = []

    def paint(job: Job, block: object) -> int:
        blocks.append(block.key)  # type: ignore[attr-defined]
        return paint_block(job, block)  # type: ignore[arg-type]

    monkeypatch.setattr("tomostat.stitch.particles.paint_block", paint)
    graph = edit_particles(*field.places, [cut])
    after = field.labels()
    assert set(np.unique(after)) == {0, 1, 2, 3}
    np.testing.assert_array_equal(after == 2, before == 2)
    assert all(key.split("-")[1] == "00000" for key in blocks)  # the second ball's blocks were left alone
    assert graph.edits == (cut,)
    assert open_graph(field.graph).tracks.particle[[cut.a, cut.b]].nunique() == 2
    edit_particles(*field.places, [])
    np.testing.assert_array_equal(field.labels(), before)


def test_a_join_brings_two_particles_together(tmp_path: Path) -> None:
    field, cut, before = fragile(tmp_path)
    other = int(open_graph(field.graph).tracks.query("particle == 2").voxels.idxmax())
    edit_particles(*field.places, [Edit("join", cut.a, other)])
    after = field.labels()
    assert set(np.unique(after)) == {0, 1}
    assert np.count_nonzero((after > 0) != (before > 0)) < 1e-3 * np.count_nonzero(before)


def test_a_killed_edit_is_painted_whole_the_next_time(tmp_path: Path) -> None:
    field, _, before = fragile(tmp_path)
    write_box(field.path, (0, 0, 0), np.zeros((64, 256, 60), np.uint32), "particles")
    (field.graph / PENDING).touch()
    edit_particles(*field.places, [])
    np.testing.assert_array_equal(field.labels(), before)
    assert not (field.graph / PENDING).exists()


def test_edits_that_cannot_be_leave_everything_as_it_is(tmp_path: Path) -> None:
    field, cut, before = fragile(tmp_path)
    for edits, words in (([Edit("cut", 1, 10_000)], "10000"), ([cut, Edit("join", cut.a, cut.b)], "join")):
        with pytest.raises(ValueError, match=words):
            edit_particles(*field.places, edits)
    assert open_graph(field.graph).edits == ()
    np.testing.assert_array_equal(field.labels(), before)
    bad = tmp_path / "edits.json"
    bad.write_text('{"cut": [1, 2]}', encoding="utf-8")
    with pytest.raises(ValueError, match="list of edits"):
        read_edits(bad)
    bad.write_text('[{"action": "cut", "a": 1, "b": 2}]', encoding="utf-8")
    assert read_edits(bad) == (Edit("cut", 1, 2),)


def test_tables_that_do_not_belong_are_refused(tmp_path: Path) -> None:
    labels = balls((20, 40, 40))
    field = write_field(tmp_path / "good", labels, step=5)
    stitch_particles(*field.places)
    before = field.labels()

    def refused(words: str, error: type[Exception] = ValueError) -> None:
        with pytest.raises(error, match=words):
            stitch_particles(*field.places)
        np.testing.assert_array_equal(field.labels(), before)

    table = field.folder / "00005.parquet"
    whole = table.read_bytes()
    table.unlink()
    refused("slices 5 to 9")
    table.write_bytes(whole[: len(whole) // 2])
    refused("00005")
    other = write_field(tmp_path / "other", balls((20, 30, 30)), step=5)
    table.write_bytes((other.folder / "00005.parquet").read_bytes())
    refused("30")
    twin = write_field(tmp_path / "twin", labels, step=5, about="b")
    table.write_bytes((twin.folder / "00005.parquet").read_bytes())
    refused("different options")
    table.write_bytes(whole)
    (field.folder / "00099.parquet").write_bytes(whole)
    refused("another table")
    for file in field.folder.iterdir():
        file.unlink()
    refused("tomostat detect", FileNotFoundError)


def test_blocks_must_be_whole_shards_and_phases_must_be_there(tmp_path: Path) -> None:
    field = write_field(tmp_path, balls())
    with pytest.raises(ValueError, match="whole numbers of shards"):
        stitch_particles(*field.places, block=(32, 256, 64))
    create_volume(tmp_path / "bare.zarr", shape=SHAPE, dtype="uint8", spacing=(1, 1, 1))
    with pytest.raises(ValueError, match="phases"):
        stitch_particles(tmp_path / "bare.zarr", field.folder, field.graph)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"min_iou": 0.0}, "min_iou"),
        ({"min_containment": 1.5}, "min_containment"),
        ({"max_gap": -1}, "max_gap"),
        ({"min_slices": 0}, "min_slices"),
        ({"margin": 100}, "margin"),
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        StitchOptions(**wrong)  # type: ignore[arg-type]


def test_memory_too_small_for_a_block_is_refused_before_painting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = write_field(tmp_path, balls())
    monkeypatch.setattr("tomostat.runner.memory_per_task", lambda client: 1000)
    with pytest.raises(ValueError, match="GiB"):
        stitch_particles(*field.places)
    assert read_box(field.path, (slice(0, 1),) * 3, "particles").sum() == 0
