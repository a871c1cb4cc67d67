"""What people answered of particles and slices, kept as CSV with the results, and the accuracy that follows from it."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tomostat.files import write_text
from tomostat.kernels.rates import Rate, grouped_rate, single_rate
from tomostat.manifest import Content, stage_key
from tomostat.messages import plural

RIGHT, UNSURE = "right", "unsure"
VERDICTS = (RIGHT, "wrong", "merged", "split", UNSURE)
"""What a particle may be: one particle; none at all; several as one; part of one; a person cannot tell."""

COLUMNS = ("field", "label", "slice", "z", "y", "x", "diameter", "verdict", "outlines", "false", "missed", "particles")
"""Columns of the file. A row is of a particle (label) or of a slice (slice)."""

DIGITS = 4
"""Decimals of micrometers in the file, and in questions so that they are read as they were written."""

CONFIDENCE = 0.95
"""Level of the intervals."""


@dataclass(frozen=True, kw_only=True)
class ParticleQuestion:
    """A particle that a person is to judge.

    Attributes
    ----------
    field, label
        Which particle.
    place, diameter
        Its centre (z, y, x) and its equivalent diameter, micrometers.
    particles
        Key of the field's particles that it is one of, as `particle_keys` gives it.
    verdict
        One of `VERDICTS`; empty while there is no answer.
    """

    field: str
    label: int
    place: tuple[float, float, float]
    diameter: float
    particles: str
    verdict: str = ""

    @property
    def name(self) -> str:
        """Which it is, in words."""
        return f"particle {self.label} of {self.field}"

    @property
    def answered(self) -> bool:
        """Whether there is an answer."""
        return bool(self.verdict)

    def row(self) -> dict[str, object]:
        """Its row in the file."""
        lengths = zip(("z", "y", "x", "diameter"), (*self.place, self.diameter), strict=True)
        own = {"field": self.field, "label": self.label, **{name: f"{length:.{DIGITS}f}" for name, length in lengths}}
        return {**own, "verdict": self.verdict, "particles": self.particles}


@dataclass(frozen=True, kw_only=True)
class SliceQuestion:
    """A slice in which a person is to count what is wrong.

    Attributes
    ----------
    field, index
        Which slice, counted from 0.
    z
        Its place, micrometers.
    outlines
        Particles that are outlined in it.
    particles
        Key of the field's particles, as `particle_keys` gives it.
    verdict
        `UNSURE` where a person cannot tell; else empty.
    false, missed
        Outlines that are on no particle of their own, and particles that no outline has for its own; None while there
        is no answer.
    """

    field: str
    index: int
    z: float
    outlines: int
    particles: str
    verdict: str = ""
    false: int | None = None
    missed: int | None = None

    @property
    def name(self) -> str:
        """Which it is, in words."""
        return f"slice {self.index} of {self.field}"

    @property
    def counted(self) -> bool:
        """Whether there are counts."""
        return self.false is not None and self.missed is not None

    @property
    def answered(self) -> bool:
        """Whether there is an answer."""
        return self.counted or bool(self.verdict)

    @property
    def found(self) -> int:
        """Particles in it that have an outline for their own."""
        return self.outlines - (self.false or 0)

    def row(self) -> dict[str, object]:
        """Its row in the file."""
        own = {"field": self.field, "slice": self.index, "z": f"{self.z:.{DIGITS}f}", "outlines": self.outlines}
        return {**own, "verdict": self.verdict, "false": self.false, "missed": self.missed, "particles": self.particles}


Question = ParticleQuestion | SliceQuestion
"""What a person is asked."""


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How right the particles are, by what people answered.

    Attributes
    ----------
    verdicts
        Number of particles by verdict.
    slices, outlines, false, missed
        Slices that were counted; outlines in them; those on no particle of their own; particles without one.
    precision
        Share of the particles that are right; those of which a person was unsure are left out.
    recall
        Share of the particles seen in slices that have an outline of their own.
    """

    verdicts: Mapping[str, int]
    slices: int
    outlines: int
    false: int
    missed: int
    precision: Rate
    recall: Rate


@dataclass(frozen=True)
class Answers:
    """All questions of an output folder.

    Attributes
    ----------
    questions
        In the order in which they were drawn.
    keys
        Key of the present particles by field; answers on others are stale.
    """

    questions: tuple[Question, ...] = ()
    keys: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def current(self) -> tuple[Question, ...]:
        """Questions on particles as they are now."""
        return tuple(one for one in self.questions if one.particles == self.keys.get(one.field))

    @property
    def stale(self) -> int:
        """Number of answers on particles that were made anew since."""
        return sum(one.answered for one in self.questions) - sum(one.answered for one in self.current)

    def accuracy(self, fields: Collection[str] | None = None) -> Accuracy:
        """What answers on particles as they are now say; of some fields only where these are named."""
        chosen = [one for one in self.current if one.answered and (fields is None or one.field in fields)]
        judged = [one.verdict for one in chosen if isinstance(one, ParticleQuestion)]
        counted = [one for one in chosen if isinstance(one, SliceQuestion) and one.counted]
        verdicts = {name: judged.count(name) for name in VERDICTS}
        return Accuracy(
            verdicts=verdicts,
            slices=len(counted),
            outlines=sum(one.outlines for one in counted),
            false=sum(one.false or 0 for one in counted),
            missed=sum(one.missed or 0 for one in counted),
            precision=single_rate(verdicts[RIGHT], len(judged) - verdicts[UNSURE], CONFIDENCE),
            recall=grouped_rate(
                [one.found for one in counted], [one.found + (one.missed or 0) for one in counted], CONFIDENCE
            ),
        )

    def lines(self) -> list[str]:
        """Precision, recall and what is left to ask, a sentence each; empty where nothing was ever asked."""
        if not self.questions:
            return []
        known, left = self.accuracy(), sum(not one.answered for one in self.current)
        particles, slices = plural(known.precision.trials, "particle"), plural(known.slices, "slice")
        found = [
            f"precision {_in_words(known.precision)}: {known.verdicts[RIGHT]} of {particles} right"
            if known.precision.trials
            else "precision unknown: no particle was judged",
            f"recall {_in_words(known.recall)}: {known.missed} missed beside {known.outlines - known.false} found "
            f"in {slices}"
            if known.recall.trials
            else "recall unknown: no particle was counted in slices",
        ]
        if left:
            found.append(f"{plural(left, 'question')} open")
        if self.stale:
            found.append(f"{plural(self.stale, 'answer')} stale: of particles that were made anew since")
        return found


def _in_words(rate: Rate) -> str:
    low, high = 100 * rate.low, 100 * rate.high
    return f"{100 * rate.value:.1f} % ({100 * CONFIDENCE:.0f} % interval {low:.1f} to {high:.1f})"


def particle_keys(content: Content) -> dict[str, str]:
    """Key of the particles of every field: of what stitched them, or read them where another program found them."""
    read, stitched = content.keys("ingest"), content.keys("stitch")
    return {field: stage_key("particles", 0, {}, [key, stitched.get(field)])[:16] for field, key in read.items()}


def write_answers(path: Path, questions: Iterable[Question]) -> None:
    """Write the file, whole or not at all."""
    text = io.StringIO()
    rows = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    rows.writeheader()
    rows.writerows(one.row() for one in questions)
    write_text(path, text.getvalue())


def read_answers(path: Path, keys: Mapping[str, str]) -> Answers:
    """Read what `write_answers` wrote, or a spreadsheet program made of it; no questions where there is no file.

    Raises
    ------
    ValueError
        When a row is not a particle or a slice with a possible answer.
    """
    if not path.exists():
        return Answers((), keys)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text in UTF-8; save it as CSV in UTF-8") from None
    head = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=head.count))
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}; expected a filled copy of audit/answers.csv")
    found = []
    for number, row in enumerate(rows, start=2):
        try:
            found.append(_parse({name: (row[name] or "").strip() for name in COLUMNS}))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
    return Answers(tuple(found), keys)


def _parse(row: Mapping[str, str]) -> Question:
    """The question of a row."""
    if bool(row["label"]) == bool(row["slice"]):
        raise ValueError("expected either a label or a slice")
    if row["label"]:
        if row["verdict"] and row["verdict"] not in VERDICTS:
            raise ValueError(f"verdict is {row['verdict']!r}; expected one of {', '.join(VERDICTS)}")
        z, y, x, diameter = (_length(row, name) for name in ("z", "y", "x", "diameter"))
        return ParticleQuestion(
            field=row["field"], label=_count(row, "label"), place=(z, y, x), diameter=diameter,
            verdict=row["verdict"], particles=row["particles"],
        )  # fmt: skip
    if row["verdict"] not in ("", UNSURE):
        raise ValueError(f"verdict is {row['verdict']!r}; expected numbers in false and missed, or {UNSURE}")
    if bool(row["false"]) != bool(row["missed"]):
        raise ValueError("expected numbers in both false and missed, or in neither")
    false, missed = (_count(row, name) if row[name] else None for name in ("false", "missed"))
    outlines = _count(row, "outlines")
    check_counts(outlines, false or 0)
    return SliceQuestion(
        field=row["field"], index=_count(row, "slice"), z=_length(row, "z"), outlines=outlines,
        particles=row["particles"], verdict=row["verdict"], false=false, missed=missed,
    )  # fmt: skip


def _count(row: Mapping[str, str], name: str) -> int:
    if not row[name].isdigit():
        raise ValueError(f"{name} is {row[name]!r}; expected a whole number from 0")
    return int(row[name])


def _length(row: Mapping[str, str], name: str) -> float:
    try:
        return float(row[name].replace(",", "."))
    except ValueError:
        raise ValueError(f"{name} is {row[name]!r}; expected micrometers") from None


def check_counts(outlines: int, false: int) -> None:
    """Refuse more false outlines than there are outlines."""
    if false > outlines:
        raise ValueError(f"false is {false}; the slice has {plural(outlines, 'outline')}")
