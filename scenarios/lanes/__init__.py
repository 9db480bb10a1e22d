"""Somebody changes lanes, pulls out or closes a gap where the ego drives or wants to."""
