"""Shadow mode: two drivers answer the same observations, and where they differ is counted, sliced and shown."""
