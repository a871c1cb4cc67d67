"""Kernels of volumes: lower resolutions, and interpolation of coarse grids."""
