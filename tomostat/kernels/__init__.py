"""Kernels that several stages share: arrays in, arrays out, no dask and no files."""
