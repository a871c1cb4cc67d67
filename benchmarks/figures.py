"""Runs benchmarks, keeps their figures as JSON, and makes the tables of `PAGES` from it.

``python -m benchmarks.figures`` (`make bench`) runs all `RUNS`, hours; started again it goes on, and leaves out what
was measured with the code as it stands. ``python -m benchmarks.figures measure caps`` runs only what the arguments of
``benchmarks.bench_measure`` name. Each prints what is measured beside what is required, and writes
``benchmarks/results/NAME.json``, where tables that were not run keep their figures. Between
``<!-- figures NAME/TABLE -->`` and ``<!-- end of figures -->`` a page holds what the file says; a test compares them.
After ``<!-- grid NAME/TABLE -->`` quantities called "row: column" are laid out so.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import psutil

from benchmarks.report import PRINTED, Result
from tomostat import __version__
from tomostat.files import write_text

RESULTS = Path(__file__).parent / "results"
PAGES = tuple(
    Path(__file__).parents[1] / "docs" / name
    for name in ("benchmarks.md", "model-card.md", "scaling.md", "real-data.md", "how-to/plan-a-run.md")
)
"""Pages with recorded tables."""
RUNS = (
    "pipeline",
    "stitch",
    "stitch scale",
    "confidence",
    "measure",
    "measure contact table",
    "structure",
    "statistics",
    "xanes",
    "report",
    "libraries",
    "boundaries --seed 14100",
    "detect",
    "detect powder",
    "detect phantoms real --weights accurate",
    "scale",
    "plan",
    "real",
)
"""Benchmarks with their arguments, in the order of the page; each runs in a process of its own."""

CODE = Path(__file__).parents[1]


def code_digest(folder: Path = CODE) -> str:
    """SHA-256 of the code and the weights that figures are measured with: of the package and of the benchmarks."""
    digest = hashlib.sha256()
    for path in sorted(path for part in ("tomostat", "benchmarks") for path in (folder / part).rglob("*")):
        if path.suffix in (".py", ".safetensors"):
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def command(arguments: Sequence[str]) -> str:
    """The command line that runs a benchmark with its arguments."""
    return " ".join(["python -m benchmarks.figures", *arguments])


def is_current(run: str, folder: Path = RESULTS) -> bool:
    """Whether tables of one of the `RUNS` were recorded with the code as it stands."""
    path = folder / f"{run.split()[0]}.json"
    tables = json.loads(path.read_text(encoding="utf-8")).values() if path.exists() else ()
    code = code_digest()
    return any(table["command"] == command(run.split()) and table.get("code") == code for table in tables)


def record(name: str, arguments: list[str], folder: Path = RESULTS) -> Path:
    """Run a benchmark with its arguments, and add the tables that it prints to its file.

    Returns
    -------
    Path
        The file.
    """
    module = importlib.import_module(f"benchmarks.bench_{name}")
    PRINTED.clear()
    sys.argv = [f"bench_{name}", *arguments]
    module.main()
    path = folder / f"{name}.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    made = {
        "command": command([name, *arguments]),
        "code": code_digest(),
        "date": date.today().isoformat(),
        "tomostat": __version__,
        "machine": machine(),
    }
    tables = {title: {**made, "results": [asdict(one) for one in results]} for title, results in PRINTED.items()}
    write_text(path, json.dumps({**known, **tables}, indent=1) + "\n")
    return path


def machine() -> str:
    """The machine in words."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{platform.machine()}, {psutil.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}"


def table_lines(table: dict[str, Any], as_grid: bool = False) -> list[str]:
    """A recorded table in Markdown; as a grid, what is called "row: column" comes first, in rows and columns."""
    results = [Result(**entry) for entry in table["results"]]
    cells = {tuple(one.name.split(": ", 1)): one for one in results if as_grid and ": " in one.name}
    rest = [one for one in results if one not in cells.values()]
    lines = [*_grid(cells), *([""] if cells and rest else []), *(_rows(rest) if rest else [])]
    return [*lines, "", f"`{table['command']}`, {table['date']}, {table['machine']}."]


def _rows(results: Sequence[Result]) -> list[str]:
    """A row for each quantity."""
    lines = ["| quantity | required | measured |", "|---|---|---|"]
    return lines + [f"| {one.name} | {_bound(one)} | {_measured(one)} |" for one in results]


def _grid(cells: dict[tuple[str, ...], Result]) -> list[str]:
    """Quantities by row and column; a bound stands behind what it bounds."""
    rows, columns = dict.fromkeys(row for row, _ in cells), dict.fromkeys(column for _, column in cells)
    if not cells:
        return []

    def cell(one: Result | None) -> str:
        if one is None:
            return ""
        return _measured(one) if one.required is None else f"{_measured(one)} ({_bound(one)})"

    head = [f"| | {' | '.join(columns)} |", f"|---{'|---' * len(columns)}|"]
    return head + [f"| {row} | {' | '.join(cell(cells.get((row, column))) for column in columns)} |" for row in rows]


def _bound(result: Result) -> str:
    """What is required, empty for nothing."""
    unit = f" {result.unit}" if result.unit else ""
    return "" if result.required is None else f"{result.comparison} {result.required:g}{unit}"


def _measured(result: Result) -> str:
    """A value with its unit, in bold where it falls short."""
    whole = float(result.value).is_integer() or abs(result.value) >= 1000
    number = f"{result.value:.0f}" if whole else f"{result.value:.3g}"
    value = f"{number} {result.unit}" if result.unit else number
    return value if result.met in (True, None) else f"**{value}**"


def page_with_figures(page: str, folder: Path = RESULTS) -> str:
    """A page whose tables of figures are those of the files.

    Raises
    ------
    FileNotFoundError, KeyError
        When a table that it names was never recorded.
    """

    def table(found: re.Match[str]) -> str:
        name, title = found[2].split("/", 1)
        recorded = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        lines = table_lines(recorded[title], as_grid=found[1] == "grid")
        return "\n".join([f"<!-- {found[1]} {found[2]} -->", "", *lines, "", END])

    return re.sub(rf"<!-- (figures|grid) (\S+/.+?) -->.*?{END}", table, page, flags=re.DOTALL)


END = "<!-- end of figures -->"
"""Where a table of figures ends."""


def main() -> None:
    """Run what is named, or all."""
    if sys.argv[1:]:
        print(f"\nwritten to {record(sys.argv[1], sys.argv[2:])}")
    else:
        for run in RUNS:
            if is_current(run):
                print(f"{command(run.split())}: measured with this code already")
            else:
                subprocess.run([sys.executable, "-m", "benchmarks.figures", *run.split()], check=True)
    for page in PAGES:
        write_text(page, page_with_figures(page.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
