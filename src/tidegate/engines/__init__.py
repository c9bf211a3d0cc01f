"""Engine adapters: the in-memory model and SQLite."""
