"""Grey values -> pore, carbon-binder domain, active material, current collector, and what lies outside the field.

One pass over the volume per question, each a sum of exact counts over blocks: where is the field of view, how does
shading run through it, which grey values part the phases, how sharp and noisy is the image. `segment` puts them in order,
`estimate` asks them, `kernels` answer for one block. What is found is a `tomostat.phase.PhaseFit`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
