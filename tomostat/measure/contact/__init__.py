"""What a particle touches: carbon-binder, other particles, the current collector; and how far other particles are."""
