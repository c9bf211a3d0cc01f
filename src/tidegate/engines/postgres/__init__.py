"""The server engine, on PostgreSQL: many machines, one queue."""

from tidegate.engines.postgres.engine import PostgresEngine, PostgresOptions

__all__ = ["PostgresEngine", "PostgresOptions"]
