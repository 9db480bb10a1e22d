"""Driving, scoring and storing whole suites."""
