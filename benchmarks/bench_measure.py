"""The measure stage: what is measured beside what is required.

``python -m benchmarks.bench_measure [area] [caps] [paths] [peers] [solid] [sums] [charge] [conduction] [contact]
[table]`` prints tables; without a name, all but the long ones (contact, table). Times are processor seconds of one core
unless the line says otherwise.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
from dask_image.ndmeasure import area, mean
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import regionprops_table

from benchmarks.peers import geodesic
from benchmarks.report import Result, print_tables
from benchmarks.resources import shortest_seconds
from tests.shapes import CUBIC, SPACINGS, Spacing, around, ball, places, slotted, turn, turned
from tests.surfaces import cap_contact, polar_angle, rims
from tomostat.cluster import open_cluster
from tomostat.events import peak_memory
from tomostat.execution import Execution
from tomostat.measure import measure_particles
from tomostat.measure.interior.density import NMC811, electrons, state_of_charge
from tomostat.measure.shape.moments import block_moments, centroids
from tomostat.measure.shape.surface import extract_surface
from tomostat.measure.transport.conduction import BUDGET, conduction_columns
from tomostat.measure.transport.geodesic import surface_distance
from tomostat.measure.transport.solid import solid_distance
from tomostat.phantom import simulate_volume
from tomostat.phantom.options import PhantomOptions
from tomostat.phase import Phase
from tomostat.phases import segment_phases
from tomostat.volume import create_volume, describe, open_volume, pyramid_tasks, read_box, store_tasks

Floats = NDArray[np.float64]

SLOTS = (1.5, 2.0, 3.0, 4.0)
"""Widths of slots in voxels."""


def percent(errors: list[float]) -> Floats:
    """Relative errors in per cent."""
    return 100 * np.abs(np.array(errors))


def area_results(seeds: int = 5) -> list[Result]:
    """Surface of balls, spheroids, boxes, planes and slotted balls."""
    results = []
    for spacing in SPACINGS:
        for radius, bound in ((10, 1.5), (20, 0.5), (40, 0.5), (80, 0.5)):
            true = 4 * np.pi * radius**2
            errors = [extract_surface(ball(radius, spacing, seed), spacing).total / true - 1 for seed in range(seeds)]
            results.append(
                Result(f"ball R {radius}, {spacing}, largest error", percent(errors).max(), bound, "<=", "%")
            )
    results.append(Result("spheroids 20 x 40, largest error", percent(spheroids(seeds)).max(), 0.5, "<=", "%"))
    worst = percent(boxes(4 * seeds)).max()
    results.append(Result("tilted boxes of 40 x 48 x 60, largest error", worst, 0.5, "<=", "%"))
    for spacing in SPACINGS:
        worst = percent(planes(12 * seeds, spacing)).max()
        results.append(Result(f"planes at any tilt, {spacing}, largest error", worst, 1.0, "<=", "%"))
    for width in SLOTS:
        errors = []
        for normal in ((1, 0, 0), (1, 1, 1), (0.7, 0.5, 0.2), (0.1, 0.9, 0.4)):
            mask, true, _, _ = slotted(40, width, np.array(normal, float))
            errors.append(extract_surface(mask, CUBIC).total / true - 1)
        results.append(Result(f"slot of {width} voxels in a ball R 40", percent(errors).max(), 2.0, "<=", "%"))
    return results


def spheroids(seeds: int) -> list[float]:
    """Relative area errors of turned spheroids."""
    a, c, errors = 20.0, 40.0, []
    eccentricity = np.sqrt(1 - (a / c) ** 2)
    true = 2 * np.pi * a * (a + c / eccentricity * np.arcsin(eccentricity))
    for seed in range(seeds):
        u, v, w = turned(around(c), turn(seed))
        mask = ((u / c) ** 2 + (v / a) ** 2 + (w / a) ** 2 <= 1).astype(np.uint8)
        errors.append(extract_surface(mask, CUBIC).total / true - 1)
    return errors


def boxes(seeds: int) -> list[float]:
    """Relative area errors of turned boxes."""
    half, errors = np.array([20.0, 24.0, 30.0]), []
    true = 8 * (half[0] * half[1] + half[1] * half[2] + half[0] * half[2])
    for seed in range(seeds):
        u, v, w = turned(around(float(np.linalg.norm(half))), turn(seed))
        mask = ((abs(u) <= half[0]) & (abs(v) <= half[1]) & (abs(w) <= half[2])).astype(np.uint8)
        errors.append(extract_surface(mask, CUBIC).total / true - 1)
    return errors


def planes(seeds: int, spacing: Spacing) -> list[float]:
    """Relative area errors of planes, half of them almost perpendicular to an axis, where the voxel steps are long.

    Points are weighted by a function of the distance to the middle of the plane that falls to zero before the edge of
    the box.
    """
    errors, radius = [], 28.0
    shape = (int(70 / spacing[0]), int(70 / spacing[1]), int(70 / spacing[2]))
    for seed in range(seeds):
        frame = turn(seed)
        if seed % 2:
            frame = np.linalg.qr((np.roll(np.eye(3), seed // 2, axis=0) + 0.1 * frame).T)[0].T
        u = turned(shape, frame, spacing)[0]
        surface = extract_surface(np.broadcast_to(u <= 0.37, shape).astype(np.uint8), spacing)
        place = (surface.point - (np.array(shape) - 1) / 2 * spacing) @ frame.T
        weight = 1 - (place[:, 1] ** 2 + place[:, 2] ** 2) / radius**2
        inner = (weight > 0) & (abs(place[:, 0]) < 5)
        errors.append(float((surface.area[inner] * weight[inner] ** 2).sum() / (np.pi * radius**2 / 3) - 1))
    return errors


def caps_results(turns: int = 12) -> list[Result]:
    """Share of the surface in caps of known size."""
    results = []
    for radius in (40, 80):
        surface = extract_surface(ball(radius), CUBIC)
        errors = []
        for k in range(turns):
            angle = polar_angle(surface, turn(k)[0])
            for share in (0.02, 0.05, 0.1, 0.2, 0.35, 0.5):
                inside = angle < np.arccos(1 - 2 * share)
                errors.append(100 * (surface.area[inside].sum() / surface.total - share))
        rms = float(np.sqrt(np.mean(np.square(errors))))
        results.append(Result(f"caps of 2-50 %, R {radius}, rms", rms, 0.3, "<=", "points"))
        results.append(Result(f"caps of 2-50 %, R {radius}, largest", float(np.abs(errors).max()), 0.7, "<=", "points"))
    return results


def path_results(
    radii: tuple[int, ...] = (40, 80, 120), turns: int = 3, slots: tuple[float, ...] = SLOTS
) -> list[Result]:
    """Paths over the surface of balls from a cap of 10 %, and around slots."""
    results = []
    for radius in radii:
        mask = ball(radius)
        surface = extract_surface(mask, CUBIC)
        mean, largest = [], []
        for k in range(turns):
            contact, beyond = cap_contact(polar_angle(surface, turn(k)[0]), 0.1, radius)
            far = radius * beyond > 5
            error = 100 * np.abs(surface_distance(surface, contact)[far] / (radius * beyond[far]) - 1)
            mean.append(float(error.mean()))
            largest.append(float(error.max()))
        results.append(Result(f"surface path, R {radius}, mean error", max(mean), 0.7, "<=", "%"))
        results.append(Result(f"surface path, R {radius}, largest error", max(largest), 3.0, "<=", "%"))
        alone = shortest_seconds(lambda surface=surface, contact=contact: surface_distance(surface, contact))
        whole = alone + shortest_seconds(lambda mask=mask: extract_surface(mask, CUBIC))
        required = {80: 0.3, 120: 0.8}.get(radius)
        results.append(Result(f"surface path, R {radius}, path alone", alone, None, "<=", "s"))
        results.append(Result(f"surface path, R {radius}, surface included", whole, required, "<=", "s"))
    results += [Result("shortest way around a slot of 2 x 75 voxels", min(slot_paths(slots)), 140, ">=", "voxels")]
    return results


def peer_results(radius: int = 40, slow: tuple[str, ...] = ()) -> list[Result]:
    """Surface paths beside other libraries, surface included, on a ball with a cap of 10 %."""
    mask, pole = ball(radius), turn(0)[0]
    centre = np.array(ndimage.center_of_mass(mask))

    def beyond(points: Floats) -> Floats:
        out = points - centre
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        return radius * (np.arccos(np.clip(out @ pole, -1, 1)) - np.arccos(0.8))

    seconds, errors = {}, {}
    for name, method in {"tomostat": geodesic.ours, **geodesic.installed()}.items():
        if name in slow:
            continue
        points, found = method(mask, beyond)
        true = beyond(points)
        far = true > 5
        errors[name] = 100 * float(np.abs(found[far] / true[far] - 1).mean())
        seconds[name] = shortest_seconds(lambda method=method: method(mask, beyond), 1)
    results = []
    for name in seconds:
        results.append(Result(f"R {radius}, {name}: mean error", errors[name], unit="%"))
        results.append(Result(f"R {radius}, {name}: surface and path", seconds[name], unit="s"))
    rivals = [seconds[name] for name in seconds if name != "tomostat" and errors[name] < 2]
    if rivals:
        results.append(Result("times faster than the best below 2 %", min(rivals) / seconds["tomostat"], 5))
    return results


def slot_paths(widths: tuple[float, ...] = SLOTS) -> Iterator[float]:
    """Distance over the surface between the two sides of the mouth of a slot in a ball R 60."""
    for width in widths:
        for normal in ((1, 0, 0), (1, 1, 1), (0.7, 0.5, 0.2), (0.1, 0.9, 0.4)):
            mask, _, across, open_to = slotted(60, width, np.array(normal, float))
            surface = extract_surface(mask, CUBIC)
            first, second = rims(surface, 60, width, across, open_to)
            contact = np.zeros(len(surface), np.float32)
            contact[first] = 1
            yield float(surface_distance(surface, contact)[second])


def solid_results(radii: tuple[int, ...] = (20, 40, 80)) -> list[Result]:
    """Paths through solid balls against chords."""
    results = []
    for radius in radii:
        mask = ball(radius)
        surface, void = extract_surface(mask, CUBIC), np.zeros(mask.shape, bool)
        contact, beyond = cap_contact(polar_angle(surface, turn(1)[0]), 0.1, radius)
        true = 2 * radius * np.sin(np.maximum(beyond, 0) / 2)
        far = true > 5
        error = 100 * np.abs(solid_distance(surface, contact, void)[far] / true[far] - 1)
        seconds = shortest_seconds(lambda s=surface, c=contact, v=void: solid_distance(s, c, v), 1)
        results.append(Result(f"solid path, R {radius}, mean error", float(error.mean()), 1.5, "<=", "%"))
        results.append(Result(f"solid path, R {radius}, time", seconds, None, "<=", "s"))
    return results


def capped_ball(radius: int, fine: int = 1, *, crack: bool = False, budget: int = BUDGET) -> Callable[[], float]:
    """Conduction in a ball with contact on 30 % of its surface, on a grid `fine` times as fine; solved when called."""
    spacing = (1 / fine,) * 3
    z, y, x = places((2 * fine * radius + 8,) * 3, spacing)
    mask = (z**2 + y**2 + x**2 <= radius**2).astype(np.uint8)
    surface = extract_surface(mask, spacing)
    contact = np.clip(0.5 - (polar_angle(surface, turn(1)[0]) - np.arccos(0.4)) * radius * fine, 0, 1)
    void = np.broadcast_to((abs(z - 0.2 * radius) < 1) & (x > -radius / 2), mask.shape) & (mask > 0) & crack
    wet = np.ones(len(surface), bool)
    return lambda: conduction_columns(surface, contact, wet, void, budget=budget)["conduction_resistance"]


def conduction_results(radii: tuple[int, ...] = (20, 40, 80)) -> list[Result]:
    """Conduction through balls: error against finer grids, error of blocks, time."""
    results = []
    for crack in (False, True):
        name = "cracked ball" if crack else "ball"
        for radius in radii[:-1]:
            found, finer = capped_ball(radius, crack=crack)(), capped_ball(radius, 2, crack=crack, budget=10**7)()
            results.append(
                Result(f"{name} R {radius}, off a grid twice as fine", 100 * abs(found / finer - 1), 3.0, "<=", "%")
            )
        radius = radii[1]
        voxels, *blocks = (capped_ball(radius, crack=crack, budget=budget)() for budget in (10**7, 40_000, 12_000))
        for edge, found in zip((2, 3), blocks, strict=True):
            error = 100 * abs(found / voxels - 1)
            results.append(Result(f"{name} R {radius}, blocks of {edge} voxels, off voxels", error, None, "<=", "%"))
    for radius in radii:
        results.append(
            Result(f"cracked ball R {radius}, time", shortest_seconds(capped_ball(radius, crack=True)), None, "<=", "s")
        )
    return results


def packed(size: int = 512, count: int = 300) -> NDArray[np.uint32]:
    """Balls of radius 20 to 48 that do not overlap."""
    rng = np.random.default_rng(0)
    scale = size / 512
    labels = np.zeros((size,) * 3, np.uint32)
    done = 0
    while done < count:
        radius, centre = rng.uniform(20, 48) * scale, rng.uniform(0, size, 3)
        low = np.maximum(np.floor(centre - radius).astype(int), 0)
        high = np.minimum(np.ceil(centre + radius).astype(int) + 1, size)
        z, y, x = (np.arange(a, b) - c for a, b, c in zip(low, high, centre, strict=True))
        inside = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 <= radius**2
        part = labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        if not part[inside].any():
            done += 1
            part[inside] = done
    return labels


def sums_results(size: int = 512) -> list[Result]:
    """Sums over the voxels of every particle, in one pass."""
    labels = packed(size)
    grey = np.random.default_rng(1).integers(0, 60_000, labels.shape, np.uint16)
    phases = np.where(labels > 0, 2, 0).astype(np.uint8)
    plain = shortest_seconds(lambda: centroids(block_moments(labels, grey), CUBIC))
    faces = shortest_seconds(lambda: block_moments(labels, grey, phases))
    start = time.process_time()
    properties = ("label", "area", "bbox", "centroid", "intensity_mean", "intensity_std", "inertia_tensor")
    regionprops_table(labels.astype(np.int32), grey, properties=properties)
    other = time.process_time() - start
    results = [
        Result(f"sums, {size}^3, 300 particles, without faces", plain, 0.3, "<=", "s"),
        Result(f"sums, {size}^3, 300 particles, with phases and faces", faces, 0.8, "<=", "s"),
        Result("regionprops_table for the same columns, times slower", other / plain, 8.0),
        Result("dask-image, area and mean, per label", per_label(labels, grey), unit="s"),
    ]
    if find_spec("cc3d") is None:
        print("cc3d is left out: it is not installed")
    else:
        statistics = import_module("cc3d").statistics
        alone = shortest_seconds(lambda: statistics(labels), 1)
        start = time.process_time()
        rest_of_sums(labels, grey)
        seconds = alone + time.process_time() - start
        results.append(Result("cc3d, volume, box and centroid only, times slower", alone / plain))
        results.append(Result("cc3d and bincount for the same columns, times slower", seconds / plain, 5.0))
    return results


def rest_of_sums(labels: NDArray[np.uint32], grey: NDArray[np.uint16]) -> list[Floats]:
    """Grey sums and second moments by numpy, which cc3d leaves to its users."""
    flat, values = labels.ravel(), grey.ravel().astype(np.float64)
    z, y, x = (np.broadcast_to(axis, labels.shape).ravel() for axis in np.ogrid[tuple(map(slice, labels.shape))])
    products = (z * z, y * y, x * x, z * y, z * x, y * x)
    return [np.bincount(flat, weights) for weights in (values, values**2, *products)]


def per_label(labels: NDArray[np.uint32], grey: NDArray[np.uint16], count: int = 3) -> float:
    """Processor seconds of dask-image for area and mean grey of one label, in chunks of a block."""
    chunks = tuple(min(128, n) for n in labels.shape)
    image, named = da.from_array(grey, chunks), da.from_array(labels.astype(np.int32), chunks)
    index = np.arange(1, count + 1)
    start = time.process_time()
    da.compute(area(image, named, index), mean(image, named, index), scheduler="synchronous")
    return (time.process_time() - start) / count


def charge_results() -> list[Result]:
    """State of charge through the shipped curve."""
    curve = NMC811.interpolate()
    grid = np.linspace(0, 0.885, 8851)
    worst = 0.0
    for branch, x in (("discharged", grid[grid < 0.68]), ("charged", grid[grid > 0.72])):
        found, error, _ = state_of_charge(curve(x), 1e-3, branch)  # type: ignore[arg-type]
        worst = max(worst, float((np.abs(found - x) / error).max()))
    return [
        Result("round trip, largest error over stated error", worst, 1.0, "<="),
        Result("electrons at x = 1", float(electrons(1)), 130.8, "=="),
        Result("turning point, distance from 0.70", abs(float(grid[np.argmin(curve(grid))]) - 0.7), 0.01, "<="),
        Result("density at x = 0, off 1.3782", abs(float(curve(0)) - 1.3782), 1e-4, "<="),
        Result("density at x = 0.885, off 1.3812", abs(float(curve(0.885)) - 1.3812), 1e-4, "<="),
    ]


def phantom_field(folder: Path, name: str, **options: Any) -> Path:
    """A simulated field with its phases found and its true particles as labels."""
    path = folder / f"{name}.zarr"
    simulate_volume(path, PhantomOptions(dtype="uint16", **options))
    segment_phases(path)
    info = describe(path, "truth_particles")
    create_volume(path, shape=info.shape, dtype=np.uint32, spacing=info.spacing, label="particles")
    Execution().run("labels", store_tasks(open_volume(path, "truth_particles").data, path, "particles"))
    for level in pyramid_tasks(path, "particles"):
        Execution().run("labels", level)
    return path


def detachment_by_count(path: Path, label: int, box: Any) -> float:
    """Detachment by thresholded phases: share of the voxels around a particle that are not carbon-binder."""
    labels, phases = read_box(path, box, "particles"), read_box(path, box, "phases")
    own = labels == label
    shell = ndimage.binary_dilation(own) & (labels == 0)
    return 1 - float((phases == Phase.CBD)[shell].mean())


def contact_table(path: Path) -> pd.DataFrame:
    """Detachment found, true and counted, and resistance, of the particles that are whole and not tiny."""
    table = measure_particles(path)
    truth = pd.read_parquet(path / "truth.parquet").set_index("label").loc[table["label"].to_numpy()]
    chosen = np.flatnonzero(~table["touches_border"].to_numpy() & (table["voxel_count"].to_numpy() > 1500))
    boxes_of = table["bbox"].to_numpy()
    particles = []
    for i in chosen:
        box = tuple(slice(int(max(a - 2, 0)), int(b + 2)) for a, b in boxes_of[i].T)
        particles.append(
            {
                "found": float(table["detachment"][i]),
                "uncertainty": float(table["detachment_std"][i]),
                "true": float(truth["detachment"].iloc[i]),
                "resistance": float(table["resistance_mean"][i]),
                "true_resistance": float(truth["resistance_mean"].iloc[i]),
                "counted": detachment_by_count(path, int(table["label"][i]), box),
            }
        )
    return pd.DataFrame(particles)


def contact_results(
    blurs: tuple[float, ...] = (0.8, 1.2, 2.0),
    noises: tuple[float, ...] = (0.07, 0.14, 0.25),
    shape: tuple[int, int, int] = (128, 320, 320),
    texture: float = 0.0,
) -> list[Result]:
    """Detachment on blurred noisy phantoms with true labels; gaps of 3 voxels and wider, in the last one of 2."""
    results, tables = [], []
    images = [(blur, noise, (0.6, 1.2), "") for blur in blurs for noise in noises]
    images.append((blurs[len(blurs) // 2], noises[len(noises) // 2], (0.4, 0.401), ", gaps of 2 voxels"))
    with tempfile.TemporaryDirectory() as folder:
        for number, (blur, noise, gap, note) in enumerate(images):
            path = phantom_field(
                Path(folder), f"field-{number}", shape=shape, diameters=(5.0, 12.0), seed=77, blur=blur, noise=noise,
                texture=texture, gap_width=gap,
            )  # fmt: skip
            tables.append(contact_table(path))
            results += contact_errors(tables[-1], f"blur {blur}, noise {noise}{note}", bounded=not note)
    particles = pd.concat(tables[:-1])
    cover = float(((particles["found"] - particles["true"]).abs() < particles["uncertainty"]).mean())
    return [
        *results,
        Result("share of all that one sigma covers", cover, 0.60),
        Result("share of all that one sigma covers", cover, 0.76, "<="),
    ]


def contact_errors(particles: pd.DataFrame, name: str, bounded: bool = True) -> list[Result]:
    """Errors of detachment and resistance; bounds for the blur and noise that they were set for."""
    error, detour = particles["found"] - particles["true"], particles["resistance"] - particles["true_resistance"]
    bounded = bounded and name.startswith("blur 1.2, noise 0.14")
    cover = float((error.abs() < particles["uncertainty"]).mean())
    return [
        Result(f"{name}: mean error", float(error.abs().mean()), 0.02 if bounded else None, "<="),
        Result(f"{name}: bias", abs(float(error.mean())), 0.01 if bounded else None, "<="),
        Result(f"{name}: correlation", float(particles["found"].corr(particles["true"])), 0.98 if bounded else None),
        Result(f"{name}: covered at one sigma", cover),
        Result(f"{name}: mean resistance, mean error", float(detour.abs().mean())),
        Result(
            f"{name}: mean resistance, correlation", float(particles["resistance"].corr(particles["true_resistance"]))
        ),
        Result(f"{name}: threshold and count, error", float((particles["counted"] - particles["true"]).abs().mean())),
        Result(f"{name}: threshold and count, correlation", float(particles["counted"].corr(particles["true"]))),
    ]


def table_results(size: int = 512) -> list[Result]:
    """The whole table of a volume, with two workers."""
    with tempfile.TemporaryDirectory() as folder, open_cluster(workers=2) as client:
        small = phantom_field(Path(folder), "small", shape=(64, 96, 96), diameters=(5.0, 9.0))
        path = phantom_field(Path(folder), "large", shape=(size,) * 3, diameters=(9.0, 20.0), blur=1.2, noise=0.1)
        measure_particles(small, execution=Execution(client=client))  # compile
        start = time.perf_counter()
        count = measure_particles(path, execution=Execution(client=client)).sizes["particle"]
        seconds = time.perf_counter() - start
        peak = sum(client.run(peak_memory).values())
    return [
        Result(f"whole table and maps, {size}^3, {count} particles", seconds, None, "<=", "s"),
        Result("the same for 300 particles", seconds * 300 / max(count, 1), 60.0, "<=", "s"),
        Result("peak memory of both workers", peak / 2**30, 4.0, "<=", "GiB"),
    ]


SHORT: dict[str, Callable[[], list[Result]]] = {
    "area": area_results,
    "caps": caps_results,
    "paths": path_results,
    "peers": peer_results,
    "solid": solid_results,
    "sums": sums_results,
    "charge": charge_results,
    "conduction": conduction_results,
}
LONG: dict[str, Callable[[], list[Result]]] = {"contact": contact_results, "table": table_results}


def main() -> None:
    """Print the tables that are named."""
    print_tables(SHORT | LONG, __doc__, [*SHORT])


if __name__ == "__main__":
    main()
