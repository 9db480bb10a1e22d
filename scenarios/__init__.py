"""Parametrised generators of worlds, one file per family."""
