"""Kernels that draw the report's 3D pictures."""
