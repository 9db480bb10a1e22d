"""Distillation: what a student takes from its teacher, and how the gradients of several lessons are joined."""
