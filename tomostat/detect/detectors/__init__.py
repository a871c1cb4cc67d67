"""Detectors, one module each, named like the detector; a new one is found without being listed anywhere."""
