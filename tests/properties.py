"""How many examples a property is tried on."""

from __future__ import annotations

import os

from hypothesis import settings

DEEP = os.environ.get("TOMOSTAT_TESTS") == "deep"
"""Whether `make test-deep` runs: random seeds, more examples."""

DEEPER = 4
"""How many times as many examples `make test-deep` tries."""


def examples(count: int) -> settings:
    """Try a property on so many examples, always the same ones in `make test`."""
    return settings(max_examples=count * DEEPER if DEEP else count, derandomize=not DEEP, deadline=None, database=None)
