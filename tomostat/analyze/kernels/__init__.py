"""Kernels of the statistics: weighted estimators and resampling."""
