"""Failure search: the nearest failure of an agent in a scenario, its boundary, and how likely failures are."""
