"""What lies inside a particle: cracks, pieces, grey values, density, state of charge."""
