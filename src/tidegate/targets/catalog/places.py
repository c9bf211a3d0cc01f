"""Where a catalog may be, beside a file."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """Tables in a PostgreSQL database.

    `pooler` says that one stands between which hands out server connections by transaction.
    """

    url: str = field(repr=False)
    schema: str = "tidegate_catalog"
    pooler: bool = False
    patience_seconds: float = 5.0
