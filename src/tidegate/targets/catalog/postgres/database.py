"""One PostgreSQL connection as the catalog uses it: opened when needed, given up when it fails.

All settings are made within transactions, so that a pooler may stand between.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from tidegate.core.errors import TargetUnavailableError
from tidegate.postgres import Release, ServerAddress, failure_of, said
from tidegate.postgres.connections import has_news, query_text
from tidegate.targets.catalog.database import Row
from tidegate.targets.catalog.dialect import Value, Values
from tidegate.targets.catalog.postgres.dialect import PostgresDialect

WAIT_SECONDS = 10
"""How long a writer waits for its turn, and how long the server waits for one that has it and says nothing."""

STATEMENT_SECONDS = 60

_USES_BEFORE_PREPARING = 5


@dataclass(frozen=True, slots=True)
class Home:
    """Where a catalog is: the database, its tables, and how to speak to it."""

    address: ServerAddress
    release: Release
    prepares: bool = True


class Database:
    """Implements WritingDatabase."""

    dialect = PostgresDialect()
    reads_ahead = True

    def __init__(self, home: Home) -> None:
        self._home = home
        self._connection: psycopg.Connection[Row] | None = None
        self._texts: dict[str, str] = {}
        self._schema_version = -1
        self._waiting: list[tuple[str, Values]] | None = None
        path = f'SET LOCAL search_path = "{home.release.verbs_schema}", "{home.release.schema}"'
        self._begin_reading = f"BEGIN READ ONLY; {path}; SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'"
        self._begin_writing = f"BEGIN; {path}; {_bounds()}; {_turn(home.release.schema)}"

    def run(self, sql: str, values: Values = ()) -> None:
        """Execute a statement. Within a `part` it waits for company: until something is read, or the end."""
        if self._waiting is None:
            self._execute(sql, values)
        else:
            self._waiting.append((sql, values))

    def value(self, sql: str, values: Values = ()) -> Any:
        row = self._ask(sql, values).fetchone()
        return row[0] if row is not None and len(row) == 1 else row

    def rows(self, sql: str, values: Values = ()) -> list[Row]:
        return self._ask(sql, values).fetchall()

    def _ask(self, sql: str, values: Values) -> psycopg.Cursor[Row]:
        if not self._waiting:
            return self._execute(sql, values)
        with self._current().pipeline():
            self._send_waiting()
            return self._execute(sql, values)

    def _send_waiting(self) -> None:
        """Within a pipeline. While a pipeline is open the server does not see that its client stands still."""
        waiting, self._waiting = self._waiting or (), []
        for sql, values in waiting:
            self._execute(sql, values)

    def _execute(self, sql: str, values: Values) -> psycopg.Cursor[Row]:
        connection = self._current()
        if isinstance(values, Mapping):
            named = {name: _storable(value) for name, value in values.items()}
            return connection.execute(query_text(sql), named)
        text = self._texts.get(sql)
        if text is None:
            text = self._texts[sql] = sql.replace("%", "%%").replace("?", "%s")
        return connection.execute(query_text(text), [_storable(value) for value in values])

    @contextmanager
    def reading(self) -> Generator[None]:
        """One transaction, in which nothing can be written."""
        with self._outages():
            connection = self._connected()
            connection.execute(query_text(self._begin_reading))
            try:
                yield
            finally:
                self._end("ROLLBACK")

    @contextmanager
    def transaction(self) -> Generator[None]:
        """One transaction; its turn comes when that of another writer ends, wherever that one is."""
        with self._outages():
            connection = self._connected()
            try:
                cursor = connection.execute(query_text(self._begin_writing))
                while cursor.nextset():
                    pass
                [(self._schema_version,)] = cursor.fetchall()
                yield
                connection.execute("COMMIT")
            except BaseException:
                self._end("ROLLBACK")
                raise

    @contextmanager
    def part(self) -> Generator[None]:
        """Statements whose rows do not matter travel together; what they raise is raised at the end at the latest."""
        with self._outages():
            connection = self._current()
            connection.execute("SAVEPOINT part")
            self._waiting = []
            try:
                yield
                with connection.pipeline():
                    self._send_waiting()
                    connection.execute("RELEASE part")
            except Exception as error:
                if failure_of(error) is None and not isinstance(error, TargetUnavailableError):
                    connection.execute("ROLLBACK TO part")
                raise
            finally:
                self._waiting = None

    def schema_version(self) -> int:
        return self._schema_version

    def touch_schema(self) -> None:
        self.run("SELECT nextval('schema_changes')")

    def lookup_indexes(self) -> set[str]:
        rows = self.rows(
            "SELECT indexname FROM pg_indexes WHERE schemaname = ? AND starts_with(indexname, 'lookup_')",
            (self._home.release.schema,),
        )
        return {name for (name,) in rows}

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it may be broken, and is of no use in any case
                connection.close()

    def _current(self) -> psycopg.Connection[Row]:
        if self._connection is None:
            raise psycopg.OperationalError("the connection is lost")
        return self._connection

    def _connected(self) -> psycopg.Connection[Row]:
        if self._connection is not None and has_news(self._connection):
            self.close()
        if self._connection is None:
            parameters: Any = self._home.address.parameters
            threshold = _USES_BEFORE_PREPARING if self._home.prepares else None
            self._connection = psycopg.connect(**parameters, autocommit=True, prepare_threshold=threshold)
        return self._connection

    def _end(self, statement: str) -> None:
        if self._connection is None:
            return
        try:
            self._connection.execute(query_text(statement))
        except psycopg.Error:
            self.close()

    @contextmanager
    def _outages(self) -> Generator[None]:
        try:
            yield
        except Exception as error:
            if failure_of(error) is None:
                raise
            where = self._home.address.shown
            raise TargetUnavailableError(f"the catalog {where} cannot be used now: {said(error)}") from error


def _bounds() -> str:
    """No writer keeps the others waiting for ever: neither one that stands still, nor one that is cut off."""
    return (
        f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'; SET LOCAL lock_timeout = '{WAIT_SECONDS}s';"
        f" SET LOCAL idle_in_transaction_session_timeout = '{WAIT_SECONDS}s';"
        " SET LOCAL tcp_keepalives_idle = 5; SET LOCAL tcp_keepalives_interval = 2;"
        " SET LOCAL tcp_keepalives_count = 3"
    )


def _turn(schema: str) -> str:
    """Wait for the turn; one row tells whether blueprints or indexes may have changed meanwhile."""
    return (
        f"SELECT pg_advisory_xact_lock(hashtextextended('{schema}', 0));"  # noqa: S608 - a checked name
        " SELECT last_value FROM schema_changes"
    )


def _storable(value: Value) -> Value:
    """Text as PostgreSQL can keep it: it has no place for the character NUL, which becomes its picture."""
    return value.replace("\0", "\u2400") if isinstance(value, str) and "\0" in value else value
