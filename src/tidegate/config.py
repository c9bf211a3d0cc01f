"""Settings: environment and files, read once, frozen."""
