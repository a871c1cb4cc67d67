"""Kernels of the ingest stage."""
