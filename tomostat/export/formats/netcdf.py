"""The particle table as netCDF, for MATLAB, R, Julia and xarray."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import dask
import xarray as xr

from tomostat.export.format import Format, Plan, Results

PLAIN = (str, int, float)
"""What an attribute of netCDF may be."""


class NetcdfFormat(Format):
    """``particles.nc``: dims, units and definitions of all columns are kept."""

    about = "the particle table as netCDF 4 with units and definitions, for MATLAB, R and xarray"

    def plan(self, results: Results) -> Plan:
        """One file."""
        return Plan({"particles": partial(write_netcdf, results.particles)}, disk=results.particles.nbytes // 8)


def write_netcdf(particles: xr.Dataset, folder: Path) -> None:
    """Write a particle table; attributes that netCDF cannot hold become JSON.

    It is made in memory: HDF5 ends the process where the disk is full.
    """
    plain = particles.assign_attrs(_plain(particles.attrs))
    for variable in plain.variables.values():
        variable.attrs = _plain(variable.attrs)
    with dask.config.set(scheduler="synchronous"):  # else xarray asks the cluster for a lock on the memory
        (folder / "particles.nc").write_bytes(plain.to_netcdf(engine="h5netcdf"))


def _plain(attributes: dict[Any, Any]) -> dict[Any, Any]:
    return {key: value if isinstance(value, PLAIN) else json.dumps(value) for key, value in attributes.items()}


FORMAT = NetcdfFormat()
