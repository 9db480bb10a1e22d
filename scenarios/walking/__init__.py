"""People and animals that step in front of the ego, and whoever backs out of a driveway."""
