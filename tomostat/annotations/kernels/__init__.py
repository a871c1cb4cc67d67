"""Kernels of annotations: arrays in, arrays out."""
