"""What is required of tomostat beside what it does: ``python -m benchmarks.figures`` records all of it."""

from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Real images, beside the clone; tables that need those that are not there are left out."""
