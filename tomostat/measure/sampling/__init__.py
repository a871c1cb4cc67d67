"""How the field of view samples the particles: which are cut or seen twice, and what each stands for."""
