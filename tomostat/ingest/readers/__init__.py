"""Readers of files, one module each, named like the reader; a new one is found without being listed anywhere."""
