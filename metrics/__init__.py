"""One file per metric family: pure functions of an episode log, and the composite scores made of them."""
