"""Junctions: somebody is on the path that the ego takes over a crossing."""
