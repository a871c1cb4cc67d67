"""Words for people: values and errors in one line."""

from __future__ import annotations

LONGEST = 120
"""Characters of a value in a message."""


def shorten(value: object, longest: int = LONGEST) -> str:
    """A value as `repr` gives it; of a long one the beginning and the end."""
    return cut(repr(value), longest)


def cut(text: str, longest: int) -> str:
    """The beginning and the end of a text that is longer than `longest` characters."""
    if len(text) <= longest:
        return text
    half = (longest - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"
