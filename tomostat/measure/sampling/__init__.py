"""How the field of view samples the particles: which are cut or in several fields, and how many each represents."""
