"""One SQLite connection, typed: the only module of this engine that touches apsw."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

Value = str | int | float | bytes | None
Row = tuple[Any, ...]

SqliteError = apsw.Error
"""The root of what SQLite raises."""

BusyError = apsw.BusyError
"""Another process writes, and that took longer than we were to wait."""

CorruptError = apsw.CorruptError
"""SQLite found that the file's content is damaged."""

BUSY_SECONDS = 5.0
"""How long to wait for another process that writes."""

_BUSY_PAUSE_SECONDS = 0.0005

_CACHED_STATEMENTS = 256
_BUGS = (apsw.SQLError, apsw.ConstraintError, apsw.MismatchError, apsw.MisuseError, apsw.BindingsError)


class Database:
    """A connection. Used by one thread at a time; statements are prepared once and kept."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        """Raises SqliteError."""
        flags = apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE
        self._connection: Any = apsw.Connection(str(path), flags, statementcachesize=_CACHED_STATEMENTS)
        self._connection.set_busy_handler(self._wait_for_others)
        # Without it, SQLite compiles a statement anew whenever a value compared with a column of a partial
        # index changes, which costs several times as much as running it.
        self._connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        self._execute: Any = None
        self._busy_since = 0.0
        self._patient = True
        self._durable: bool | None = None
        self._renew()

    def _wait_for_others(self, tries: int) -> bool:
        """Another process writes: try again soon. SQLite's own pauses grow to 100 ms, and a commit takes one."""
        if not self._patient:
            return False
        now = time.monotonic()
        if tries == 0:
            self._busy_since = now
        time.sleep(_BUSY_PAUSE_SECONDS)
        return now - self._busy_since < BUSY_SECONDS

    def run(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Execute a statement whose rows do not matter; answers how many rows it changed."""
        try:
            self._execute(sql, values)
            return self._connection.changes()
        except SqliteError:
            self._renew()
            raise

    def insert(self, sql: str, values: Sequence[Value]) -> int:
        """Insert a row; answers its number, at half the cost of RETURNING."""
        self.run(sql, values)
        return self._connection.last_insert_rowid()

    def row(self, sql: str, values: Sequence[Value] = ()) -> Row | None:
        """The first row, None if there is none.

        Only between BEGIN and COMMIT: elsewhere the statement would stay open, and with it its view of the
        file, and nobody could shorten the write-ahead log behind that.
        """
        try:
            return self._execute(sql, values).fetchone()
        except SqliteError:
            self._renew()
            raise

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """All rows. Bound the query."""
        try:
            return self._execute(sql, values).fetchall()
        except SqliteError:
            self._renew()
            raise

    def _renew(self) -> None:
        """A cursor whose statement failed would raise that error once more when it is used next."""
        self._execute = self._connection.cursor().execute

    def pragma(self, name: str, *value: Value) -> Any:
        """Read a pragma, or set it if a value is given."""
        return self._connection.pragma(name, *value)

    def be_patient(self, patient: bool) -> None:
        """Wait for another process that writes, or fail at once."""
        self._patient = patient

    def be_durable(self, durable: bool) -> None:
        """Whether the next transactions are on the disk once they are committed. Not inside of one."""
        if durable is not self._durable:
            self.pragma("synchronous", "full" if durable else "normal")
            self._durable = durable

    @property
    def in_transaction(self) -> bool:
        """False if nothing is to be rolled back: on some errors SQLite itself rolls back."""
        return self._connection.in_transaction

    def interrupt(self) -> None:
        """Stop what runs now, from another thread."""
        self._connection.interrupt()

    def close(self) -> None:
        """Close; nothing can be asked any more."""
        self._connection.close()


def is_outage(error: Exception) -> bool:
    """True for what SQLite says about files, locks, memory and disks; False for our own bugs."""
    return isinstance(error, apsw.Error) and not isinstance(error, _BUGS)
