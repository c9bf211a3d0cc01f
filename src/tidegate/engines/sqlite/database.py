"""One SQLite connection, typed: the only module of this engine that touches apsw."""

import os
import time
from collections.abc import Callable, Sequence
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

_CACHED_STATEMENTS = 1024
"""So many executions later a statement is compiled anew, which costs ten times as much as running it; a full batch
has about as many. apsw keeps each one once, but gives it the next of so many places whenever it is used.
"""

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
        self._path = path
        self._log: int | None = None
        self._doubtful = False
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

    def sync(self) -> None:
        """Return once all that was committed, by whichever process, is on the disk. Raises SqliteError.

        SQLite would wait for the disk inside of a commit (`synchronous=FULL`), and let nobody else write meanwhile.
        What could not be written may be lost to the log for good; so nothing counts as written after that until
        all of the log has been copied into the file.
        """
        try:
            if self._doubtful:
                self._empty_log()
            if self._log is None:
                self._log = os.open(f"{self._path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            os.fdatasync(self._log)
        except OSError as error:
            self._doubtful = True
            raise apsw.IOError(f"{self._path}-wal cannot be written to the disk: {error}") from error

    def _empty_log(self) -> None:
        """Copy the log into the file, all of it, and wait for the disk. Raises SqliteError."""
        self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._doubtful = False

    def checkpoint(self, *, alone: bool = False) -> bool:
        """Copy the log into the file; `alone`: let nobody write meanwhile. True if nothing is left to be copied.

        Raises SqliteError, BusyError if somebody writes (or copies) now.
        """
        mode = apsw.SQLITE_CHECKPOINT_FULL if alone else apsw.SQLITE_CHECKPOINT_PASSIVE
        pages, copied = self._connection.wal_checkpoint(mode=mode)
        return pages == copied

    def watch_log(self, grown: Callable[[int], None]) -> None:
        """After each commit, tell how many pages the log has, instead of copying it when it is long."""

        def told(_connection: Any, _name: str, pages: int) -> int:
            grown(pages)
            return apsw.SQLITE_OK

        self._connection.set_wal_hook(told)

    @property
    def in_transaction(self) -> bool:
        """False if nothing is to be rolled back: on some errors SQLite itself rolls back."""
        return self._connection.in_transaction

    def interrupt(self) -> None:
        """Stop what runs now, from another thread."""
        self._connection.interrupt()

    def close(self) -> None:
        """Close; nothing can be asked any more."""
        if self._log is not None:
            os.close(self._log)
            self._log = None
        self._connection.close()


def is_outage(error: Exception) -> bool:
    """True for what SQLite says about files, locks, memory and disks; False for our own bugs."""
    return isinstance(error, apsw.Error) and not isinstance(error, _BUGS)
