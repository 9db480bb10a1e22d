"""The loops that make models: triad data, training, and what turns a teacher into a student."""
