"""How the shipped weights were trained, and what else was tried."""
