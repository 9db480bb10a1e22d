"""Driving policies."""
