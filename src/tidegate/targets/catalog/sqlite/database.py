"""One SQLite connection, typed: the only module of the catalog that touches apsw."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from tidegate.core.errors import TargetUnavailableError
from tidegate.targets.catalog.database import Row
from tidegate.targets.catalog.dialect import Value, Values
from tidegate.targets.catalog.formats import instant_us
from tidegate.targets.catalog.sqlite.dialect import SqliteDialect

BUSY_SECONDS = 10.0

SqliteError = apsw.Error
"""The root of what SQLite raises."""

_BUGS = (apsw.SQLError, apsw.ConstraintError, apsw.MismatchError, apsw.MisuseError, apsw.BindingsError)


class Database:
    """A connection. Used by one thread at a time; statements are prepared once and kept."""

    dialect = SqliteDialect()
    reads_ahead = False

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        """Raises SqliteError."""
        flags = (
            apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        )
        self._path = path
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
    def reading(self) -> Generator[None]:
        """See the port."""
        try:
            yield
        except _BUGS:
            raise
        except apsw.Error as error:
            raise TargetUnavailableError(
                f"the catalog's file {self._path} cannot be used now: {error}"
            ) from error

    @contextmanager
    def transaction(self) -> Generator[None]:
        """BEGIN IMMEDIATE … COMMIT, or ROLLBACK if the block raises."""
        with self.reading():
            self.run("BEGIN IMMEDIATE")
            try:
                yield
                self.run("COMMIT")
            except BaseException:
                if self.in_transaction:  # SQLite itself rolls back on a full disk and the like
                    self.run("ROLLBACK")
                raise

    @contextmanager
    def part(self) -> Generator[None]:
        """See the port."""
        self.run("SAVEPOINT part")
        try:
            with self.reading():
                yield
        except TargetUnavailableError:
            raise
        except Exception:
            self.run("ROLLBACK TO part")
            self.run("RELEASE part")
            raise
        self.run("RELEASE part")

    def schema_version(self) -> int:
        """It changes with whatever another connection writes."""
        return self.pragma("data_version")

    def touch_schema(self) -> None:
        """SQLite keeps its `data_version` itself."""

    def lookup_indexes(self) -> set[str]:
        rows = self.rows("SELECT name FROM sqlite_schema WHERE name LIKE 'lookup\\_%' ESCAPE '\\'")
        return {name for (name,) in rows}

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def close(self) -> None:
        self._connection.close()
