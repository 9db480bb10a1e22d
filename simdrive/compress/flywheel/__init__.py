"""The flywheel: what shadow mode and failures show becomes data, the data a better student, and held-out cases decide."""
