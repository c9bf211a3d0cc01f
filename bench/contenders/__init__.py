"""What is measured: each by its own program, in its own environment."""
