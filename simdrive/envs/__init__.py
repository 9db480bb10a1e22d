"""Gymnasium faces of the simulator, and the wrapper that puts latency into any environment."""
