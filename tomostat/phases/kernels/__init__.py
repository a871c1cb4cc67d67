"""Kernels of the phases stage: histograms, thresholds, shading, sharpness, field of view."""
