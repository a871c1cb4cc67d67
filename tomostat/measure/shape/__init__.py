"""How large a particle is, and of what form: volume, axes, surface, roughness."""
