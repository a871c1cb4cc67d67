"""Kernels of volumes: halving, and coarse grids spread over voxels."""
