"""Grey values -> pore, carbon-binder domain, active material, current collector, and what lies outside the field.

Every estimate adds up exact counts over blocks, or over slices and boxes whose places follow from the volume. `segment`
calls them in order and writes the labels: `grey_range`, `first_guess` (shading), `blur`, and `estimate` (noise and the
thresholds between phases) each make the tasks of their passes and evaluate the sums; `kernels` hold what is computed
for one block. The result is a `tomostat.phase.PhaseFit`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
