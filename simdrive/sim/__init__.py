"""Worlds, actors, cameras and line of sight as compiled array code."""
