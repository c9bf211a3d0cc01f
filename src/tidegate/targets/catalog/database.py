"""What the catalog needs of a database, whichever it is."""

from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

from tidegate.targets.catalog.dialect import Dialect, Values

Row: TypeAlias = tuple[Any, ...]


class Database(Protocol):
    """A connection, used by one thread at a time. Values stand as ? in the text, or by the dialect's names."""

    @property
    def dialect(self) -> Dialect:
        """How its SQL is spelled."""
        ...

    def value(self, sql: str, values: Values = ()) -> Any:
        """The first row: its only column, or the tuple of its columns; None if there is no row."""
        ...

    def rows(self, sql: str, values: Values = ()) -> list[Row]:
        """All rows. Bound the query."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """Ready to read inside. Turns what the database says of itself into TargetUnavailableError; bugs stay
        what they are.
        """
        ...

    def close(self) -> None: ...


class WritingDatabase(Database, Protocol):
    """The connection that writes. Transactions of all that have the catalog open follow each other."""

    @property
    def reads_ahead(self) -> bool:
        """True if asking for many rows at once is worth while."""
        ...

    def run(self, sql: str, values: Values = ()) -> None:
        """Execute a statement whose rows do not matter."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Committed at the end, undone if the block raises. Raises TargetUnavailableError as `reading` does."""
        ...

    def part(self) -> AbstractContextManager[None]:
        """Within a transaction: undone alone if the block raises, but for TargetUnavailableError."""
        ...

    def schema_version(self) -> int:
        """Within a transaction: another number if others may have changed blueprints or indexes."""
        ...

    def touch_schema(self) -> None:
        """Within a transaction: let others see another `schema_version`."""
        ...

    def lookup_indexes(self) -> set[str]:
        """The names of the indexes on properties."""
        ...
