"""The interior of a particle: cracks, fragments, grey values, density, state of charge."""
