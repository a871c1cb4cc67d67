"""Accuracy on one's own scan: particles and slices drawn at random, judged by a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np
import xarray as xr

from tomostat.answers import (
    DIGITS,
    UNSURE,
    VERDICTS,
    Accuracy,
    Answers,
    ParticleQuestion,
    Question,
    SliceQuestion,
    check_counts,
    particle_keys,
    read_answers,
    write_answers,
)
from tomostat.blocks import box_of
from tomostat.datasets import counted_once, open_particles
from tomostat.files import atomic
from tomostat.layout import Layout
from tomostat.lock import refuse_used
from tomostat.manifest import Content
from tomostat.pipeline import Run
from tomostat.report.audit import draw_question
from tomostat.report.fields import view_field
from tomostat.report.style import save_png, styled
from tomostat.report.text import file_name
from tomostat.study import Study
from tomostat.volume import describe, read_box

PARTICLES, SLICES = 50, 6
"""Particles that are judged and slices that are counted where nothing else is said."""


@dataclass
class Audit:
    """Questions on the particles of a measured study; every answer is kept at once, in ``audit/answers.csv``.

    Made by `open`, which draws questions, or goes on with those that were drawn before.

    Attributes
    ----------
    layout
        The output folder.
    answers
        All questions with the answers so far.
    """

    layout: Layout
    answers: Answers

    @classmethod
    def open(cls, study: Study, *, particles: int = PARTICLES, slices: int = SLICES, seed: int = 0) -> Audit:
        """Draw what is to be judged, unless it was drawn before.

        Particles are drawn with equal chances from all that lie whole in a field and are counted there; slices from
        the fields in turn, which are put in random order, and with equal chances within a field. Larger numbers keep
        the questions of smaller ones.

        Parameters
        ----------
        study
            The study, with the options that it was measured with.
        particles, slices
            How many to draw; fewer where there are not so many.
        seed
            Of the random numbers.

        Raises
        ------
        ValueError, FileNotFoundError
            When a number is negative or both are 0, the study is not measured as it is now, it has no whole particle, a
            process works in the folder, or the file of answers is damaged.
        """
        if particles < 0 or slices < 0 or not particles + slices:
            raise ValueError(f"particles is {particles}, slices {slices}; expected 0 or more, and not both 0")
        running = Run.of(study)
        refuse_used(running.layout.root)
        running.check_current("measure")
        keys = particle_keys(Content.read(running.layout.root))
        table = open_particles(running.layout.particles)
        known = read_answers(running.layout.answers, keys)
        volumes = {field.name: running.layout.volume(field.name) for field in study.fields}
        judged = [one for one in known.current if isinstance(one, ParticleQuestion)]
        counted = [one for one in known.current if isinstance(one, SliceQuestion)]
        new = [
            *_more(judged, particles, draw_particles(table, keys, np.random.default_rng([seed, 0]))),
            *_more(counted, slices, draw_slices(volumes, keys, np.random.default_rng([seed, 1]))),
        ]
        audit = cls(running.layout, known)
        audit._put((*known.questions, *new))
        return audit

    @property
    def questions(self) -> tuple[Question, ...]:
        """Questions on particles as they are now, in order."""
        return self.answers.current

    @property
    def accuracy(self) -> Accuracy:
        """What the answers say so far."""
        return self.answers.accuracy()

    def judge(self, question: Question, verdict: str) -> None:
        """Keep a verdict on a particle, one of `tomostat.answers.VERDICTS`, or that a slice cannot be counted.

        Raises
        ------
        ValueError
            When it is no such verdict, or the question is none of this audit.
        """
        possible = VERDICTS if isinstance(question, ParticleQuestion) else (UNSURE,)
        if verdict not in possible:
            raise ValueError(f"verdict is {verdict!r}; expected one of {', '.join(possible)}")
        self._keep(replace(question, verdict=verdict))

    def count(self, question: SliceQuestion, false: int, missed: int) -> None:
        """Keep how many outlines of a slice are on no particle of their own, and how many particles have none.

        Raises
        ------
        ValueError
            When a number is negative, or there are not so many outlines, or the question is none of this audit.
        """
        if false < 0 or missed < 0:
            raise ValueError(f"counts are {false} and {missed}; expected 0 or more")
        check_counts(question.outlines, false)
        self._keep(replace(question, verdict="", false=false, missed=missed))

    def take(self, path: Path) -> int:
        """Keep the answers of a file, a filled copy of ``audit/answers.csv``; gives their number.

        Answers on particles that were made anew since are kept as stale. Nothing is kept of a file that is refused.

        Raises
        ------
        FileNotFoundError, ValueError
            When there is no such file, a row is wrong, or answers a question that was not drawn.
        """
        if not path.is_file():
            raise FileNotFoundError(f"no file {path}")
        keys, known = self.answers.keys, {_identity(one): one for one in self.answers.questions}
        given = [one for one in read_answers(path, keys).questions if one.answered]
        for one in given:
            drawn = known.get(_identity(one))
            if drawn is None and one.particles == keys.get(one.field):
                raise ValueError(f"{path}: {one.name} was not drawn; answer the questions of {self.layout.answers}")
            known[_identity(one)] = _answered(drawn or one, one)
        self._put(known.values())
        return len(given)

    def picture(self, question: Question) -> Path:
        """Path of the picture of a question, beside the answers."""
        name = question.name.replace(" ", "-")
        return self.layout.answers.with_name(f"{file_name(name)}.png")

    def draw(self, question: Question) -> Path:
        """Draw the picture of a question; gives its path."""
        view = view_field(question.field, self.layout.volume(question.field))
        with styled(), atomic(path := self.picture(question)) as part:
            save_png(draw_question(view, question), part)
        return path

    def _keep(self, answered: Question) -> None:
        """Save the questions with one more answer."""
        known = {_identity(one): one for one in self.answers.questions}
        if _identity(answered) not in known:
            raise ValueError(f"{answered.name} is no question of {self.layout.answers}")
        self._put((known | {_identity(answered): answered}).values())

    def _put(self, questions: Iterable[Question]) -> None:
        self.answers = Answers(tuple(questions), self.answers.keys)
        write_answers(self.layout.answers, self.answers.questions)


def _identity(question: Question) -> tuple[str, str]:
    """What tells a question from all others."""
    return question.name, question.particles


def _answered(drawn: Question, given: Question) -> Question:
    """A question as it was drawn, with the answer that a file gives; raises ValueError where that cannot be."""
    if isinstance(drawn, SliceQuestion) and isinstance(given, SliceQuestion):
        check_counts(drawn.outlines, given.false or 0)
        return replace(drawn, verdict=given.verdict, false=given.false, missed=given.missed)
    return replace(drawn, verdict=given.verdict)


def _more(known: Sequence[Question], count: int, drawn: Iterable[Question]) -> list[Question]:
    """Questions that are drawn beside known ones, so that there are `count` in all."""
    names = {one.name for one in known}
    return list(islice((one for one in drawn if one.name not in names), max(count - len(known), 0)))


def draw_particles(
    table: xr.Dataset, keys: Mapping[str, str], random: np.random.Generator
) -> Iterator[ParticleQuestion]:
    """All whole particles that are counted in their field, in random order.

    Raises
    ------
    ValueError
        When there is none.
    """
    particles = counted_once(table)
    whole = particles.isel(particle=np.flatnonzero(~particles["touches_border"].to_numpy().astype(bool)))
    columns = ("field", "label", "centroid", "equivalent_diameter")
    rows = sorted(zip(*(whole[name].values.tolist() for name in columns), strict=True))
    if not rows:
        raise ValueError("there is no whole particle to judge; particles=0 asks about slices only")
    for row in random.permutation(len(rows)):
        field, label, centre, diameter = rows[row]
        z, y, x = (round(length, DIGITS) for length in centre)
        yield ParticleQuestion(
            field=field, label=label, place=(z, y, x), diameter=round(diameter, DIGITS), particles=keys[field]
        )


def draw_slices(
    volumes: Mapping[str, Path], keys: Mapping[str, str], random: np.random.Generator
) -> Iterator[SliceQuestion]:
    """All slices: of each field one in turn, the fields and the slices of each in random order."""
    names = random.permutation(sorted(volumes)).tolist()
    infos = {name: describe(volumes[name], "particles") for name in names}
    orders = [random.permutation(infos[name].shape[0]).tolist() for name in names]
    for indices in zip_longest(*orders):
        for name, index in zip(names, indices, strict=True):
            if index is not None:
                plane = slice(index, index + 1), *box_of(infos[name].shape)[1:]
                labels = np.unique(read_box(volumes[name], plane, "particles"))
                z, outlines = round(index * infos[name].spacing[0], DIGITS), int(np.count_nonzero(labels))
                yield SliceQuestion(field=name, index=index, z=z, outlines=outlines, particles=keys[name])
