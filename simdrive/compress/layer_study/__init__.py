"""Preliminary study of a model: what its layers show of perception, reasoning and planning, before anything is distilled."""
