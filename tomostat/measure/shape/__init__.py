"""Size and shape of a particle: volume, axes, surface, roughness."""
