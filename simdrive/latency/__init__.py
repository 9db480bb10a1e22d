"""When an agent's answers arrive: latency sources, injection modes, and the request clock of an episode."""
