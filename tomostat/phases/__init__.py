"""Grey values -> pore, carbon-binder domain, active material, current collector, and what lies outside the field.

Every estimate is one pass over the volume that adds up exact counts over blocks: the field of view, the shading, the
blur, the noise and the thresholds between phases. `segment` runs the passes and writes the labels, `estimate` evaluates
the sums, `kernels` hold what is computed for one block. The result is a `tomostat.phase.PhaseFit`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
