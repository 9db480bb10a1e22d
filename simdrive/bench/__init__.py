"""What the speed claims are made of."""
