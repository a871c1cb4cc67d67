"""Per-particle statistics from X-ray nano-tomography volumes of battery electrodes.

The data's way, one function for every arrow; each reads what the one before it wrote::

    ingest_volume -> segment_phases -> detect_instances -> stitch_particles -> measure_particles
        -> analyze_particles -> write_report

`run` does them all for a study file. Where they run is an `Execution`: threads of this process, or the workers of a
`distributed.Client`, such as `open_cluster` gives. `open_volume` and `open_particles` open results as xarray,
`open_contacts` the graph of touching particles; `export_study` writes files for other programs. `simulate_volume` and
`simulate_study` make electrodes with known truth.

Importing this package imports neither torch nor dask nor zarr: names are looked up when they are first used.
"""

import lazy_loader

from tomostat.numba_cache import choose_numba_cache

__version__ = "0.1.0"

choose_numba_cache()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
