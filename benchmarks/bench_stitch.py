"""The stitch stage: what is measured beside what is required.

``python -m benchmarks.bench_stitch [pair] [disturbed] [paint] [peers] [network] [sand] [scale]`` prints tables; without
a name, all but scale. The sand is read from ``../shared/data``.
"""

from __future__ import annotations

import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numba
import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks import DATA
from benchmarks.peers.stitching import Outcome, alone, installed
from benchmarks.report import Result, print_results, print_tables
from benchmarks.resources import shortest_seconds
from tomostat.events import peak_memory
from tomostat.instances import Instances, write_instances
from tomostat.kernels.matching import overlaps_of_labels, overlaps_of_runs
from tomostat.kernels.score import Scores, score_labels
from tomostat.phantom import make_scene, render, simulate_volume
from tomostat.phantom.options import PhantomOptions
from tomostat.phases import segment_phases
from tomostat.phases.options import PhasesOptions
from tomostat.stitch import stitch_particles
from tomostat.stitch.kernels.candidates import find_candidates, measure_tracks
from tomostat.stitch.kernels.link import link_slices, widest_gap
from tomostat.stitch.kernels.masks import Masks, final_masks
from tomostat.stitch.kernels.numbering import decide_particles
from tomostat.stitch.kernels.paint import paint_box
from tomostat.stitch.kernels.tracks import chain_instances, index_links, measure_sections
from tomostat.stitch.options import StitchOptions
from tomostat.stitch.plan import StitchPlan
from tomostat.stitch.tasks import build_graph, link_slab
from tomostat.views import VIEWS, View, ViewName
from tomostat.volume import create_volume, open_volume, write_box

DENSE = (200, 360, 360)
SPACING = (0.2, 0.2, 0.2)
SAND = DATA / "sand_ct.tif"


def two_slices(count: int = 300, size: int = 2048) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Two neighbouring slices with `count` disks each."""
    rng = np.random.default_rng(0)
    side = int(np.ceil(np.sqrt(count)))
    centre = (np.stack(np.divmod(np.arange(count), side), 1) + 0.5) * size / side
    radius = rng.uniform(0.33, 0.52, count) * size / side
    images = []
    for shift in (0, 3):
        image = np.zeros((size, size), np.int32)
        for number, ((cy, cx), r) in enumerate(
            zip(centre + rng.uniform(-9, 9, (count, 2)), radius + shift, strict=True)
        ):
            y0, x0 = (max(int(c - r), 0) for c in (cy, cx))
            part = image[y0 : int(cy + r) + 2, x0 : int(cx + r) + 2]
            y, x = np.ogrid[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]]
            part[(y - cy) ** 2 + (x - cx) ** 2 <= r * r] = number + 1
        images.append(image)
    return images[0], images[1]


def pair() -> list[Result]:
    """One pair of slices, matched one to one."""
    first, second = two_slices()
    runs = [(i.offset, i.run_start, i.run_length) for i in (Instances.from_labels(a, 0) for a in (first, second))]
    dense = shortest_seconds(lambda: overlaps_of_labels(first, second).assign(), 7)
    lengths = shortest_seconds(lambda: overlaps_of_runs(runs[0], runs[1]).assign(), 7)
    return [
        Result("2048^2 pair, 300 instances, from label images", 1e3 * dense, 25, "<=", "ms"),
        Result("2048^2 pair, 300 instances, from run lengths", 1e3 * lengths, 5, "<=", "ms"),
    ]


def dense_truth(seed: int, touching: float = 0.8) -> NDArray[np.int32]:
    """True labels of a dense phantom of some 140 particles."""
    options = PhantomOptions(shape=DENSE, spacing=SPACING, seed=seed, touching=touching)
    labels = render(make_scene(options), (0, 0, 0), DENSE).labels
    return np.unique(labels, return_inverse=True)[1].reshape(DENSE).astype(np.int32)


def disturb(
    labels: NDArray[np.int32], seed: int, dropped: float = 0.1, split: float = 0.05, fused: float = 0.02
) -> NDArray[np.int32]:
    """Slice by slice: shares of the instances dropped, split in two, and fused with a neighbour within 3 pixels."""
    rng = np.random.default_rng(seed)
    disturbed = labels.copy()
    for truth, image in zip(labels, disturbed, strict=True):
        following = truth.max() + 1
        boxes = ndimage.find_objects(truth)
        for number in (i + 1 for i, box in enumerate(boxes) if box):
            draw = rng.uniform()
            if draw < fused:
                grown = tuple(slice(max(s.start - 3, 0), s.stop + 3) for s in boxes[number - 1])
                near = truth[grown][ndimage.distance_transform_edt(truth[grown] != number) <= 3]
                others = np.setdiff1d(near, [0, number])
                if len(others):
                    image[image == rng.choice(others)] = number
            elif draw < fused + split:
                y, x = np.nonzero(image == number)
                if len(y) > 3:
                    angle = rng.uniform(0, np.pi)
                    distance = (y - y.mean()) * np.sin(angle) + (x - x.mean()) * np.cos(angle)
                    side = distance > rng.uniform(-0.3, 0.3) * np.sqrt(len(y) / np.pi)
                    image[y[side], x[side]] = following
                    following += 1
            elif draw < fused + split + dropped:
                image[truth == number] = 0
    return disturbed


def slices_of(labels: NDArray[np.int32]) -> Instances:
    """Instances of all slices."""
    return Instances.concatenate([Instances.from_labels(image, z) for z, image in enumerate(labels)])


def stitched(instances: Instances, shape: tuple[int, int, int], options: StitchOptions) -> NDArray[np.uint32]:
    """Labels from instances, in memory and without refinement."""
    sections = measure_sections(instances)
    links = index_links(link_slices(instances, range(shape[0]), options), sections)
    chains = chain_instances(sections, links, options)
    tracks = measure_tracks(sections, chains, SPACING)
    candidates = find_candidates(links, chains, tracks)
    _, particle = decide_particles(sections, chains.track, tracks, candidates, shape[0], options)
    masks = final_masks(instances, particle[chains.track], range(shape[0]), widest_gap(options))
    return paint_box(masks, (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])))


def merged(truth: NDArray[np.int32], found: NDArray[np.uint32]) -> int:
    """True particles that share a found one, each being mostly inside it."""
    table = overlaps_of_labels(truth, found)
    inside = table.second[table.overlap > 0.5 * table.first_size[table.first]]
    counts = np.bincount(inside)
    return int(counts[counts > 1].sum())


def disturbed(seeds: range = range(60_000, 60_006)) -> list[Result]:
    """True instances of dense phantoms, as they are and disturbed."""
    plain: list[Scores] = []
    after: list[Scores] = []
    ceiling: list[Scores] = []
    mixed, seconds = [], []
    for seed in seeds:
        truth = dense_truth(seed)
        found = stitched(slices_of(truth), DENSE, StitchOptions(min_slices=1))
        plain.append(score_labels(truth, found))
        worse = disturb(truth, seed)
        instances = slices_of(worse)
        start = time.perf_counter()
        found = stitched(instances, DENSE, StitchOptions())
        seconds.append(time.perf_counter() - start)
        after.append(score_labels(truth, found))
        mixed.append(merged(truth, found))
        ceiling.append(score_labels(truth, np.where(worse > 0, truth, 0)))
    mean = {name: np.mean([getattr(s, name) for s in after]) for name in ("f1", "pq", "truth")}
    return [
        Result("particles in a phantom, mean", float(mean["truth"])),
        Result("undisturbed, worst F1", min(s.f1 for s in plain), 1),
        Result("undisturbed, worst PQ", min(s.pq for s in plain), 1),
        Result("oracle on what is left of the disturbed, mean F1", float(np.mean([s.f1 for s in ceiling]))),
        Result("oracle on what is left of the disturbed, mean PQ", float(np.mean([s.pq for s in ceiling]))),
        Result("disturbed, mean F1", float(mean["f1"]), 0.95),
        Result("disturbed, worst F1", min(s.f1 for s in after), 0.95),
        Result("disturbed, mean PQ", float(mean["pq"]), 0.85),
        Result("disturbed, worst PQ", min(s.pq for s in after), 0.85),
        Result("disturbed, particles merged, worst", max(mixed), 2, "<="),
        Result("disturbed, seconds for the stack", min(seconds[1:] or seconds), unit="s"),
    ]


def ours(stack: NDArray[np.int32]) -> NDArray[np.uint32]:
    """All of tomostat's stitching but the refinement, from label images to labels."""
    return stitched(slices_of(stack), stack.shape, StitchOptions())


def renumbered(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Every slice numbered on its own, so that numbers carry nothing from one slice to the next."""
    images = [np.unique(image, return_inverse=True)[1].reshape(image.shape) for image in labels]
    return np.stack([image if (labels[z] == 0).any() else image + 1 for z, image in enumerate(images)]).astype(np.int32)


def peers(seed: int = 60_000, shape: tuple[int, int, int] = DENSE) -> list[Result]:
    """tomostat beside other methods on one dense phantom, undisturbed and disturbed; each in a process of its own."""
    truth = dense_truth(seed)[tuple(slice(0, n) for n in shape)]
    stacks = {"undisturbed": renumbered(truth), "disturbed": renumbered(disturb(truth, seed))}
    two = np.stack(two_slices())
    table: dict[str, dict[str, tuple[Scores, Outcome]]] = {}
    rows = []
    print(f"{'':20s}" + "".join(f"{kind:>32s}" for kind in stacks) + f"{'a pair of 2048^2':>20s}")
    for name, work in {"tomostat": ours, **installed()}.items():
        table[name] = {}
        row = f"{name:20s}"
        for kind, stack in stacks.items():
            outcome = alone(work, stack)
            table[name][kind] = score_labels(truth, outcome.labels), outcome
            scores = table[name][kind][0]
            row += f"{scores.f1:8.3f} {scores.pq:6.3f} {outcome.seconds:6.2f} s {outcome.memory / 2**20:5.0f} MB"
            rows += [Result(f"{name}: {kind}, F1", scores.f1), Result(f"{name}: {kind}, PQ", scores.pq)]
        rows.append(Result(f"{name}: seconds, disturbed", table[name]["disturbed"][1].seconds, unit="s"))
        rows.append(Result(f"{name}: a pair of 2048^2", 1e3 * alone(work, two).seconds, unit="ms"))
        print(f"{row}{rows[-1].value:17.0f} ms", flush=True)
    print_results("methods", rows)
    mine, others = table.pop("tomostat"), table
    results = []
    for kind in stacks:
        for metric in ("f1", "pq"):
            best = max(getattr(other[kind][0], metric) for other in others.values())
            results.append(Result(f"{kind}: {metric}, best peer {best:.3f}", getattr(mine[kind][0], metric), best))
    if "cellpose stitch3D" in others:
        longest = others["cellpose stitch3D"]["disturbed"][1].seconds
        results.append(Result("seconds, at most those of cellpose", mine["disturbed"][1].seconds, longest, "<=", "s"))
    return results


def boundary_error(truth: NDArray[np.int32], found: NDArray[np.uint32]) -> float:
    """Mean distance, in voxels, from the surface voxels of matched particles to the true surface."""
    table = overlaps_of_labels(truth, found)
    distances = []
    boxes = ndimage.find_objects(truth)
    for pair in table.assign(np.where(table.iou > 0.5, table.iou, 0)):
        number, other = table.first_label[table.first[pair]], table.second_label[table.second[pair]]
        box = tuple(slice(max(s.start - 8, 0), s.stop + 8) for s in boxes[number - 1])
        true, mine = truth[box] == number, found[box] == other
        depth = np.where(true, ndimage.distance_transform_edt(true), 1 - ndimage.distance_transform_edt(~true)) - 1
        surface = mine & ~ndimage.binary_erosion(mine, border_value=1)
        if surface.any():
            distances.append(np.abs(depth[surface]).mean())
    return float(np.mean(distances))


def network(seeds: range = range(70_000, 70_003), shape: tuple[int, int, int] = (160, 384, 384)) -> list[Result]:
    """End to end with the shipped network on phantoms that nothing was trained on."""
    from tomostat.detect import detect_instances  # torch would count as memory of the other benchmarks

    scores: list[Scores] = []
    distances = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "field.zarr"
            simulate_volume(path, PhantomOptions(seed=seed, shape=shape, spacing=SPACING))
            segment_phases(path)
            detect_instances(path, Path(name) / "instances")
            stitch_particles(path, Path(name) / "instances", Path(name) / "graph")
            truth = np.asarray(open_volume(path, "truth_particles").data).astype(np.int32)
            found = np.asarray(open_volume(path, "particles").data)
        scores.append(score_labels(truth, found))
        distances.append(boundary_error(truth, found))
    return [
        Result("network, worst F1", min(s.f1 for s in scores), 0.95),
        Result("network, worst PQ", min(s.pq for s in scores), 0.85),
        Result("network, particles merged, worst", max(s.merges for s in scores)),
        Result("network, boundary to the true surface, worst", max(distances), 0.7, "<=", "voxels"),
    ]


def sand() -> list[Result]:
    """Casting sand along three axes, with the volume turned so that each of them is that of z once."""
    if not SAND.exists():
        return []
    grey = tifffile.imread(SAND)
    alone = _grains(grey, VIEWS[:1])
    labels = {name: View(name).turn_back(_grains(View(name).turn(grey), VIEWS)) for name in VIEWS}
    counts = [len(np.unique(image)) - 1 for image in labels.values()]
    cuts = [
        Result(f"flat cuts across {name}, {title}", count_flat_cuts(image, axis))
        for title, image in (("z alone", alone), ("three views", labels["z"]))
        for axis, name in enumerate(VIEWS)
    ]
    return [
        Result("grains, z alone", len(np.unique(alone)) - 1),
        *(Result(f"grains, three views, {name} as z", count) for name, count in zip(VIEWS, counts, strict=True)),
        Result("most over fewest, less 1", max(counts) / min(counts) - 1, 0.05, "<="),
        *cuts,
    ]


def _grains(grey: NDArray[np.generic], views: tuple[ViewName, ...]) -> NDArray[np.uint32]:
    """Particles that the shipped network and stitching make of an image of two phases."""
    from tomostat.detect import DetectOptions, detect_instances

    with tempfile.TemporaryDirectory() as folder:
        path, tables = Path(folder) / "sand.zarr", Path(folder) / "instances"
        create_volume(path, shape=grey.shape, dtype=grey.dtype, spacing=(1.0, 1.0, 1.0))
        write_box(path, (0, 0, 0), grey)
        segment_phases(path, options=PhasesOptions(phases=2))
        detect_instances(path, tables, options=DetectOptions(views=views))
        stitch_particles(path, tables, Path(folder) / "graph")
        return np.asarray(open_volume(path, "particles").data)


def count_flat_cuts(labels: NDArray[np.uint32], axis: int, least: int = 60, share: float = 0.6) -> int:
    """Faces between two particles that lie in one plane across an axis, and are most of the section of one of them."""
    planes = np.moveaxis(labels, axis, 0)
    count = 0
    for first, second in pairwise(planes):
        table = overlaps_of_labels(first, second)
        one, other = table.first_label[table.first], table.second_label[table.second]
        smaller = np.minimum(table.first_size[table.first], table.second_size[table.second])
        count += np.count_nonzero((one != other) & (table.overlap >= least) & (table.overlap > share * smaller))
    return int(count)


def paint() -> list[Result]:
    """Label voxels from tables, one core."""
    labels = dense_truth(60_000)
    instances = slices_of(labels)
    numbers = labels.reshape(len(labels), -1)[instances.slice, instances.run_start[instances.offset[:-1]]]
    masks = Masks(instances, numbers.astype(np.uint32), np.zeros(len(instances), np.uint8))
    seconds = shortest_seconds(lambda: paint_box(masks, (slice(0, 200), slice(0, 360), slice(0, 360))), 7)
    return [Result("painting", labels.size / seconds / 1e6, 50, ">=", "Mvoxel/s")]


@numba.njit(cache=True)
def _draw_slices(z0, z1, top, radius, centre, offset_of_column, nx):  # type: ignore[no-untyped-def]
    """Runs of columns of balls: slice, first run of every instance, run starts and lengths."""
    slices, count, start, length = [np.int32(0)], [np.int64(0)], [np.int32(0)], [np.int32(0)]
    for z in range(z0, z1):
        for column in range(len(offset_of_column) - 1):
            for k in range(offset_of_column[column], offset_of_column[column + 1]):
                h = z - top[k] - radius[k]
                inside = radius[k] * radius[k] - h * h
                if inside < 1:
                    continue
                rim = int(np.sqrt(inside))
                for dy in range(-rim, rim + 1):
                    half = int(np.sqrt(inside - dy * dy))
                    start.append(np.int32((centre[k, 0] + dy) * nx + centre[k, 1] - half))
                    length.append(np.int32(2 * half + 1))
                slices.append(np.int32(z))
                count.append(np.int64(2 * rim + 1))
                break
    return np.array(slices[1:]), np.array(count[1:]), np.array(start[1:]), np.array(length[1:])


def many_balls(folder: Path, slices: int, columns: int, step: int = 64) -> int:
    """Write tables of `columns` ** 2 columns of touching balls, 2 % of the instances missed; return their number."""
    rng = np.random.default_rng(0)
    size = 28 * columns
    top, radius, centre, offset = [], [], [], [0]
    for column in range(columns**2):
        z = -rng.uniform(0, 20)
        while z < slices:
            r = rng.uniform(7, 12)
            shift = rng.integers(-1, 2, 2)
            top.append(z)
            radius.append(r)
            centre.append(np.array(divmod(column, columns)) * 28 + 14 + shift)
            z += 2 * r + rng.uniform(0, 3)
        offset.append(len(top))
    balls = [np.array(values) for values in (top, radius, centre, offset)]
    total = 0
    for z in range(0, slices, step):
        stop = min(z + step, slices)
        where, count, start, length = _draw_slices(z, stop, *balls, size)
        runs = np.concatenate([[0], np.cumsum(count)])
        keep = rng.random(len(where)) > 0.02
        drawn = Instances((size, size), where, np.ones(len(where), np.float32), runs, start, length)
        order = np.lexsort((start[runs[:-1]], where))
        part = drawn.take(order[keep[order]])
        write_instances(folder / f"{z:05d}.parquet", part, range(z, stop))
        total += len(part)
    return total


def link_many(folder: Path, graph: Path, slices: int, size: int) -> float:
    """Seconds to link, merge and number the instances of a folder, in this process alone."""
    plan = StitchPlan(folder, folder, graph, (slices, size, size), SPACING, (64, size, size), StitchOptions(), None)
    start = time.perf_counter()
    for slab in plan.slabs:
        link_slab(plan, slab)
    linked = time.perf_counter()
    build_graph(plan, ())
    print(f"  linking {linked - start:.1f} s, graph {time.perf_counter() - linked:.1f} s", flush=True)
    return time.perf_counter() - start


def scale(counts: tuple[tuple[int, int], ...] = ((64, 20), (500, 75), (2000, 75))) -> list[Result]:
    """Linking, merging and numbering, up to ten million instances, on one core (linking alone runs on several)."""
    results = []
    rates = []
    for slices, columns in counts:
        with tempfile.TemporaryDirectory() as name:
            number = many_balls(Path(name) / "instances", slices, columns)
            seconds = link_many(Path(name) / "instances", Path(name) / "graph", slices, 28 * columns)
        rates.append(seconds / number)
        required = 300 if number > 5e6 else None
        results.append(Result(f"{number} instances", seconds, required, "<=", "s"))
    peak = peak_memory() / 2**30
    results.append(Result("peak memory, largest", peak, 4, "<=", "GiB"))
    if len(rates) > 2:
        results.append(Result("seconds per instance, largest to middle", rates[-1] / rates[-2], 1.1, "<="))
    return results


def main() -> None:
    """Print the tables."""
    tables = {
        "pair": pair, "disturbed": disturbed, "paint": paint, "peers": peers, "network": network, "sand": sand,
        "scale": scale,
    }  # fmt: skip
    print_tables(tables, __doc__, [name for name in tables if name != "scale"])


if __name__ == "__main__":
    main()
