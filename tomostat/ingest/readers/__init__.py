"""Readers of file formats, one per module and named like it; a new module is found without being listed anywhere."""
