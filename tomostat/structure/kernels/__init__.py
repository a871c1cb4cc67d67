"""Kernels of the structure stage."""
