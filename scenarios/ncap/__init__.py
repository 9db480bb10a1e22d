"""The test cases of the Euro NCAP crash avoidance protocol for frontal collisions as worlds (docs/ncap.md)."""
