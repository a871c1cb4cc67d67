"""How electrons reach a particle: detours over its surface or through its solid, conduction."""
