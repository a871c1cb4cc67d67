"""The command audit: asks a person for verdicts on particles and slices, in the terminal or by a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tomostat.cli.app import Out, app
from tomostat.cli.progress import progress_bars
from tomostat.cli.studies import study_in

if TYPE_CHECKING:
    from tomostat.answers import Question
    from tomostat.audit import Audit

QUIT, BACK = "quit", "back"
"""Words that are no answers."""

PARTICLE = "right, wrong, merged, split, unsure; back, quit"
SLICE = "outlines on no particle of their own, and particles without an outline, as 1 2; unsure, back, quit"
"""What may be answered."""


@app.command(sort_key=20)
def audit(out: Out, /, *, particles: int = 50, slices: int = 6, seed: int = 0, answers: Path | None = None) -> None:
    """Estimate precision and recall of the particles: judge some that are drawn at random.

    Pictures go into OUT/audit, one for each question. Every answer is saved at once; the same command goes on. Without
    a terminal, fill a copy of OUT/audit/answers.csv and give it as --answers.

    Parameters
    ----------
    particles
        Whole particles to judge: right, wrong (no particle), merged (several as one), split (part of one), unsure.
    slices
        Slices in which outlines on no particle of their own, and particles without an outline, are counted.
    seed
        Of the random numbers that draw them.
    answers
        A filled copy of OUT/audit/answers.csv; nothing is asked then.
    """
    from tomostat.audit import Audit

    found = Audit.open(study_in(out), particles=particles, slices=slices, seed=seed)
    if answers is not None:
        print(f"{found.take(answers)} answers of {answers} are kept")
    else:
        _draw(found)
        _ask(found)
    print("\n".join(found.answers.lines()))
    print(f"answers: {found.layout.answers}; for the report: tomostat run {found.layout.study}")


def _draw(audit: Audit) -> None:
    """Draw the pictures of all questions that are open."""
    left = [question for question in audit.questions if not question.answered]
    with progress_bars() as bars:
        task = bars.add_task("pictures", total=len(left), rate="")
        for question in left:
            audit.draw(question)
            bars.advance(task)


def _ask(audit: Audit) -> None:
    """Ask what is open, until all is answered, or the person quits, or the input ends."""
    from tomostat.answers import SliceQuestion

    left = [question for question in audit.questions if not question.answered]
    place = 0
    while place < len(left):
        question = left[place]
        print(f"{place + 1} of {len(left)}: {question.name}, {audit.picture(question)}")
        try:
            word = input(f"  {SLICE if isinstance(question, SliceQuestion) else PARTICLE}? ").strip().lower()
            if (said := _meant(word, (QUIT, BACK))) == QUIT:
                return
            if said == BACK:
                place = max(place - 1, 0)
            else:
                _keep(audit, question, word)
                place += 1
        except EOFError:
            print()
            return
        except ValueError as error:
            print(f"  {error}")


def _keep(audit: Audit, question: Question, word: str) -> None:
    """Keep what was typed as the answer; raises ValueError where it is none."""
    from tomostat.answers import VERDICTS, SliceQuestion

    numbers = word.split()
    if isinstance(question, SliceQuestion) and len(numbers) == 2 and all(one.isdigit() for one in numbers):
        audit.count(question, int(numbers[0]), int(numbers[1]))
    else:
        audit.judge(question, _meant(word, VERDICTS))


def _meant(word: str, words: Sequence[str]) -> str:
    """The only one of some words that begins with what was typed; else what was typed."""
    found = [one for one in words if word and one.startswith(word)]
    return found[0] if len(found) == 1 else word
