"""Short descriptions of what a path holds, and of what tomostat and installed packages offer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import xarray as xr

from tomostat.answers import particle_keys, read_answers
from tomostat.datasets import FEWEST, open_dataset, open_particles
from tomostat.ingest import open_source, split_dataset
from tomostat.ingest.readers.zarr import labels_beside
from tomostat.instances import read_instances
from tomostat.layout import Layout
from tomostat.manifest import ALL, Content
from tomostat.messages import plural
from tomostat.report.text import between, condition_names, percent
from tomostat.stitch import open_graph, read_agreement
from tomostat.study import load_study
from tomostat.volume import describe, is_map, is_tomostat_volume, label_names, map_names

FIELDS_NAMED = 5
"""Most names of fields in a message."""


def describe_path(path: Path) -> str:
    """Describe what a volume, table or output folder holds.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is nothing at the path, or tomostat cannot read it.
    """
    file, dataset = split_dataset(path)
    if not file.exists():
        raise FileNotFoundError(f"nothing at {file}")
    if dataset is not None:
        return f"{path}: {open_source(path)}"
    if Layout(path).manifest.exists():
        return summarize(path)
    if path.suffix == ".zarr" and _is_table(path):
        return _table_lines(open_particles(path))
    if path.suffix in (".csv", ".parquet") and _is_table(path.with_suffix(".zarr")):
        return _table_lines(open_particles(path.with_suffix(".zarr")))
    if (path / "tracks.parquet").exists():
        return _graph_lines(path)
    if is_tomostat_volume(path):
        return _volume_lines(path)
    if path.suffix == ".parquet" or (path.is_dir() and any(path.glob("*.parquet"))):
        return _instance_lines(path)
    if path.is_dir() and Layout(path.parent).manifest.exists():
        within = ", ".join(sorted(one.name for one in path.iterdir())[:FIELDS_NAMED])
        raise ValueError(f"{path} is part of an output folder and holds {within}; name one of these, or {path.parent}")
    if path.suffix.lower() in (".yaml", ".yml"):
        study = load_study(path)
        samples, fields = plural(len(study.samples), "sample"), plural(len(study.fields), "field")
        return (
            f"study {study.study}: {samples}, {fields} of view; results in {study.output}\n"
            f"`tomostat run {path}` runs it, `tomostat plan {path}` tells what it takes"
        )
    images = [path, *(Path(f"{path}:{name}") for name in labels_beside(path))]
    return "\n".join(f"{image}: {open_source(image)}" for image in images)


def summarize(root: Path) -> str:
    """Summary of an output folder: stages, particles per condition, path of the report."""
    layout, content = Layout(root), Content.read(root)
    study = load_study(layout.study, record=True) if layout.study.exists() else None
    lines = [f"study {content.study} in {root}"]
    fields: dict[str, list[str]] = {}
    for name, record in content.stages.items():
        scope, stage = name.rsplit("/", 1)
        fields.setdefault(scope, []).append(stage if record.finished else f"{stage} (unfinished)")
    removed = {*fields} - {ALL, *(field.name for field in study.fields)} if study else set()
    for scope, stages in fields.items():
        note = " (not in the study any more)" if scope in removed else ""
        lines += [f"  {scope}{note}: {', '.join(stages)}"] if scope != ALL else []
    if layout.particles.exists():
        analyzed = content.stages.get(f"{ALL}/analyze")
        table = condition_table(open_particles(layout.particles))
        if analyzed and analyzed.finished:
            table = result_table(open_dataset(layout.analysis, "analysis", "tomostat analyze"))
        lines += ["", table, "", f"table:  {layout.particles}, .csv, .parquet"]
    lines += [f"audit:  {line}" for line in read_answers(layout.answers, particle_keys(content)).lines()]
    page = layout.report / "index.html"
    if page.exists():
        lines.append(f"report: {page}")
    lines += [f"warning: {_of(one.scope)}{one.stage}: {one.text}" for one in content.warnings()]
    return "\n".join(lines)


def _of(scope: str) -> str:
    return "" if scope == ALL else f"{scope}, "


def result_table(results: xr.Dataset) -> str:
    """Mean detachment per condition as the report shows it, of how many of its particles, and why not of the others."""
    names = f"{'condition':<14}{'fields':>7}{'particles':>11}{'detachment':>12}"
    head = f"{names}  {'interval, %':<16}{'used':>6}{'at border':>11}{'not measured':>14}"
    lines = [head, "-" * len(head)]
    for index, name in enumerate(condition_names(results)):
        one = results.isel(condition=index).sel(size="all")
        mean, bounds = (one[part].sel(statistic="mean") for part in ("summary", "summary_interval"))
        used, border, missing = (int(one[part]) for part in ("n_particles", "n_border", "n_missing"))
        lines.append(
            f"{name:<14}{int(one['n_fields']):>7}{used + border + missing:>11}{percent(float(mean), 1):>12}  "
            f"{between(bounds, digits=1):<16}{used:>6}{border:>11}{missing:>14}"
        )
    if len(lines) == 2:
        return "no particle"
    border = json.loads(results.attrs["options"])["border"]
    kept = {"weighted": "left out, the others weighted for it", "excluded": "left out", "kept": "kept"}[border]
    lines.append(f"detachment of the particles in column `used`; those at the border of a field are {kept}")
    return "\n".join([*lines, *_lines_on_few(results)])


def _lines_on_few(results: xr.Dataset) -> list[str]:
    """One line for every condition of which so few particles are used that their mean says nothing of the electrode."""
    used = results["n_particles"].sel(size="all").values.tolist()
    few = [(name, int(count)) for name, count in zip(condition_names(results), used, strict=True) if count < FEWEST]
    return [f"{name}: {plural(count, 'particle')} used, too few to speak for the electrode" for name, count in few]


def condition_table(particles: xr.Dataset) -> str:
    """Particles, detachment and resistance per condition, as text."""
    head = f"{'condition':<14}{'fields':>7}{'particles':>11}{'diameter um':>13}{'detachment':>12}{'resistance':>12}"
    lines = [head, "-" * len(head)]
    conditions = particles["condition"].values.astype(str)
    for name in sorted(set(conditions)):
        rows = particles.isel(particle=np.flatnonzero(conditions == name))
        count = len(set(rows["field"].values.astype(str)))
        means = [_mean(rows[column].values) for column in ("equivalent_diameter", "detachment", "resistance_mean")]
        lines.append(f"{name:<14}{count:>7}{rows.sizes['particle']:>11}{means[0]:>13}{means[1]:>12}{means[2]:>12}")
    if len(lines) == 2:
        lines.append("no particle")
    return "\n".join(lines)


def _mean(values: np.ndarray) -> str:
    finite = values[np.isfinite(values)]
    return f"{finite.mean():.3f}" if len(finite) else "-"


def _is_table(path: Path) -> bool:
    return not (path / "0").exists() and (path / "label").exists()


def _volume_lines(path: Path) -> str:
    lines = []
    for label in [None, *label_names(path), *map_names(path)]:
        image = describe(path, label)
        size = " x ".join(map(str, image.shape))
        step = " x ".join(f"{s:g}" for s in image.spacing)
        name = "grey" if label is None else label if is_map(label) else f"labels/{label}"
        lines.append(f"{name}: {size} voxels of {step} micrometer, {image.dtype}, {len(image.levels)} levels")
    return "\n".join(lines)


def _table_lines(particles: xr.Dataset) -> str:
    lines = [f"{particles.sizes['particle']} particles", "", condition_table(particles), ""]
    for name, variable in particles.variables.items():
        unit = variable.attrs.get("units", "")
        lines.append(f"{name!s:<24} {unit:<16} {variable.attrs.get('long_name', '')}")
    return "\n".join(lines)


CLOSEST = 10
"""Decisions of a merge graph that are listed."""


def _graph_lines(path: Path) -> str:
    """Decisions of the merge graph, and the pairs of tracks whose scores are closest to the limit."""
    graph = open_graph(path)
    tracks, pairs = graph.tracks, graph.candidates
    lines = [f"{len(tracks)} tracks, {len(graph.particles)} particles, {len(pairs)} pairs"]
    if others := len(set(graph.particles.index) - set(tracks.particle)):
        lines.append(f"  by slices along other axes alone: {others} particles, which have no track")
    for view, found in read_agreement(path).groupby("view", sort=False)["particle"]:
        lines.append(f"  by slices along {view}: {len(found)} particles; views that differ drop {(found == 0).sum()}")
    lines += [f"  {reason}: {count}" for reason, count in pairs.reason.value_counts().items() if count]
    lines += [f"  by hand: {edit.action} {edit.a} {edit.b}" for edit in graph.edits]
    closest = pairs.iloc[pairs.score.abs().argsort(kind="stable")[:CLOSEST]]
    if len(closest):
        lines += ["", f"{'closest pairs':<16}{'particles':<14}{'score':>8}  {'place z y x (um)':<22}decision"]
    known = tracks.to_dict("index")
    for pair in closest.to_dict("records"):
        a, b = known[pair["a"]], known[pair["b"]]
        place = " ".join(f"{(a[axis] + b[axis]) / 2:.1f}" for axis in "zyx")
        names, both = f"{pair['a']} {pair['b']}", f"{a['particle']} {b['particle']}"
        decision = f"{'joined' if pair['joined'] else 'apart'}, {pair['reason']}"
        lines.append(f"{names:<16}{both:<14}{pair['score']:>8.3f}  {place:<22}{decision}")
    return "\n".join(lines)


def _instance_lines(path: Path) -> str:
    instances = read_instances(path)
    slices = len(np.unique(instances.slice))
    size = " x ".join(map(str, instances.shape))
    return f"{len(instances)} instances in {slices} slices of {size} pixels"


def column_lines() -> str:
    """Every column of the particle table: unit, meaning, definition, and when it is missing."""
    from tomostat.measure import MeasureOptions, all_columns, chosen_measures

    lines = []
    for name, measure in all_columns(chosen_measures(MeasureOptions())).items():
        dims = f" by {', '.join(axis.name for axis in measure.dims)}" if measure.dims else ""
        lines += [f"{name} [{measure.units or 'no unit'}]{dims}: {measure.long_name}", f"    {measure.definition}"]
        if measure.missing:
            lines.append(f"    missing: {measure.missing}")
    return "\n".join(lines)


def format_lines() -> str:
    """Formats that are read, by reader, and those that are written."""
    from tomostat.export import FORMATS
    from tomostat.ingest import READERS

    lines = ["read:", *(f"{name:<12} {READERS.get(name).value.formats}" for name in READERS.names())]
    lines += ["", "written by `tomostat export`:"]
    lines += [f"{name:<12} {FORMATS.get(name).value.about}" for name in FORMATS.names()]
    return "\n".join(lines)


def detector_lines() -> str:
    """Names of all detectors."""
    from tomostat.detect import DETECTORS

    return "\n".join(DETECTORS.names())


def measure_lines() -> str:
    """Measures of installed packages, with their columns."""
    from tomostat.measure import MEASURES

    names = MEASURES.names()
    if not names:
        return "no installed package offers measures"
    columns = {name: ", ".join(measure.name for measure in MEASURES.get(name).value.measures) for name in names}
    return "\n".join(f"{name:<20} {listed}" for name, listed in columns.items())
