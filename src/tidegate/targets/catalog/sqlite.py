"""One SQLite connection, typed: the only module of the catalog that touches apsw."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from tidegate.core.errors import TargetUnavailableError
from tidegate.targets.catalog.formats import date_time

BUSY_SECONDS = 10.0

Value = str | int | float | bytes | None
Values = Sequence[Value] | Mapping[str, Value]
Row = tuple[Any, ...]

SqliteError = apsw.Error
"""The root of what SQLite raises."""

_BUGS = (apsw.SQLError, apsw.ConstraintError, apsw.MismatchError, apsw.MisuseError, apsw.BindingsError)


class Database:
    """A connection. Used by one thread at a time; statements are prepared once and kept."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        """Raises SqliteError."""
        flags = (
            apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        )
        self._connection: Any = apsw.Connection(str(path), flags=flags)
        self._connection.set_busy_timeout(int(BUSY_SECONDS * 1000))
        self._connection.create_scalar_function("instant_us", instant_us, 1, deterministic=True)
        self._execute: Any = self._connection.cursor().execute

    def run(self, sql: str, values: Values = ()) -> None:
        """Execute statements whose rows do not matter."""
        self._execute(sql, values)

    def value(self, sql: str, values: Values = ()) -> Any:
        """The first row: its only column, or the tuple of its columns; None if there is no row."""
        return self._execute(sql, values).get

    def rows(self, sql: str, values: Values = ()) -> list[Row]:
        """All rows. Bound the query."""
        return self._execute(sql, values).fetchall()

    def pragma(self, name: str, *value: Value) -> Any:
        """Read a pragma, or set it if a value is given."""
        return self._connection.pragma(name, *value)

    @contextmanager
    def transaction(self) -> Generator[None]:
        """BEGIN IMMEDIATE … COMMIT, or ROLLBACK if the block raises."""
        self.run("BEGIN IMMEDIATE")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            if self.in_transaction:  # SQLite itself rolls back on a full disk and the like
                self.run("ROLLBACK")
            raise

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def close(self) -> None:
        self._connection.close()


@contextmanager
def outages_as_unavailable(path: Path) -> Generator[None]:
    """Turn what SQLite says about files, locks and disks into TargetUnavailableError; bugs stay what they are."""
    try:
        yield
    except _BUGS:
        raise
    except apsw.Error as error:
        raise TargetUnavailableError(f"the catalog's file {path} cannot be used now: {error}") from error


def instant_us(value: Value) -> int | None:
    """Microseconds since 1970 of an RFC 3339 string, None for anything else."""
    moment = date_time(value) if isinstance(value, str) else None
    return None if moment is None else round(moment.timestamp() * 1_000_000)
