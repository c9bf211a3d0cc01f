"""The embedded engine, on SQLite."""

from tidegate.engines.sqlite.engine import SqliteEngine

__all__ = ["SqliteEngine"]
