"""Kernels of the detect stage: the network, masks from tiles, outlines, watershed."""
