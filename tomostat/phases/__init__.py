"""Grey values -> pore, carbon-binder domain, active material, current collector, and what lies outside the field.

One pass over the volume per question, each a sum of exact counts over blocks: where is the field of view (`outside`),
how does shading run through it (`shading`), which grey values part the phases (`thresholds`), how sharp and noisy is
the image (`sharpness`). `segment` puts them in order.
"""

from tomostat.phases.segment import segment_phases

__all__ = ["segment_phases"]
