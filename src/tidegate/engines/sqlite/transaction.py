"""What an operation works with: the connection inside a write transaction, the time, and the counters.

The counters are read when the transaction begins and written before it commits, so that several processes
may share the file.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from operator import attrgetter

from tidegate.core.lifecycle import RunState
from tidegate.engines.sqlite.database import Database, Row
from tidegate.engines.wakeups import Work


@dataclass(slots=True)
class Counters:
    """The row of table `counters`: numbers given, and how much is live or dead."""

    token: int
    event_seq: int
    run_id: int
    write_seq: int
    queued_events: int
    ready_runs: int
    held_runs: int
    claimed_runs: int
    dead_runs: int

    @property
    def unfinished(self) -> int:
        """As `Backlog.unfinished`."""
        return self.queued_events + self.ready_runs + self.held_runs + self.claimed_runs

    def next_token(self) -> int:
        self.token += 1
        return self.token

    def count(self, state: RunState, change: int) -> None:
        """A run entered (+1) or left (-1) a state."""
        match state:
            case RunState.READY:
                self.ready_runs += change
            case RunState.HELD:
                self.held_runs += change
            case RunState.CLAIMED:
                self.claimed_runs += change
            case RunState.DEAD:
                self.dead_runs += change
            case _:
                pass

    def moved(self, before: RunState, after: RunState) -> None:
        """A run changed its state."""
        self.count(before, -1)
        self.count(after, +1)


_COLUMNS = tuple(column.name for column in fields(Counters))
_SAVE = f"UPDATE counters SET {', '.join(f'{name} = ?' for name in _COLUMNS)}"  # noqa: S608 - own text
_values_of = attrgetter(*_COLUMNS)

SELECT_COUNTERS = f"SELECT {', '.join(_COLUMNS)} FROM counters"  # noqa: S608 - own text


class DamageError(Exception):
    """A row cannot be read because the file is damaged there. Stays inside this engine.

    SQLite refuses to write in a transaction that met damage, so it has to be rolled back; `put_aside` then
    takes the row out of the way, in a transaction of its own.
    """

    def __init__(self, put_aside: "Callable[[Transaction], None]") -> None:
        super().__init__("the file is damaged")
        self.put_aside = put_aside


@dataclass(slots=True)
class Transaction:
    """An open write transaction. `added` collects what may be claimable once it is committed; `run`, `insert`,
    `row` and `rows` are the database's own.

    An operation may raise a TidegateError only before it has changed anything.
    """

    database: Database
    now_us: int
    lease_us: int
    max_backlog: int
    counters: Counters
    run: Callable[..., int]
    insert: Callable[..., int]
    row: Callable[..., Row | None]
    rows: Callable[..., list[Row]]
    added: set[Work] = field(default_factory=set[Work])
    _loaded: tuple[int, ...] = ()

    @classmethod
    def begin(cls, database: Database, now_us: int, lease_us: int, max_backlog: int) -> "Transaction":
        """Take the write lock. Raises SqliteError."""
        database.run("BEGIN IMMEDIATE")
        loaded = database.row(SELECT_COUNTERS)
        assert loaded is not None  # noqa: S101 - the schema puts the row there
        return cls(
            database,
            now_us,
            lease_us,
            max_backlog,
            Counters(*loaded),
            run=database.run,
            insert=database.insert,
            row=database.row,
            rows=database.rows,
            _loaded=loaded,
        )

    def commit(self) -> None:
        """Make it durable. Raises SqliteError; roll back then."""
        current: tuple[int, ...] = _values_of(self.counters)
        if current != self._loaded:
            self.database.run(_SAVE, current)
        self.database.run("COMMIT")

    @property
    def lease_end_us(self) -> int:
        """When a lease that is given now ends."""
        return self.now_us + self.lease_us
