"""Pruning: what matters least goes, the model becomes physically smaller, and learns again for a while."""
