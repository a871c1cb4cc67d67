"""Detectors, one module each, which has the name of the detector and a function ``make``; modules added are found."""
