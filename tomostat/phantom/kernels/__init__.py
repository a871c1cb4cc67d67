"""Kernels that draw synthetic electrodes."""
