"""Formats of other programs, each in the module named like it, which offers it as ``FORMAT``."""
