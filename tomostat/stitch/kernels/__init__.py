"""Kernels of the stitch stage: links, tracks, merge decisions, masks and voxels."""
