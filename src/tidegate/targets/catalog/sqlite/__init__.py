"""The catalog in an SQLite file of this machine."""
