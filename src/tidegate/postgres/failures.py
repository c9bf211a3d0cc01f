"""What an error of the database means for who asked: try again, wait until it is back, or mend the code."""

from enum import Enum

from psycopg import InterfaceError, OperationalError, errors

_UNDONE = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    errors.OutOfMemory,  # also: no room for more locks; fewer at once may go
)
_OUTAGES = (
    OperationalError,
    InterfaceError,
    errors.ReadOnlySqlTransaction,  # a fail-over has made a standby of it
    errors.InvalidSqlStatementName,  # a pooler has given us another server connection
    OSError,
)


class Failure(Enum):
    """The sorts of failures."""

    UNDONE = "undone"  # rolled back because others were in the way: the same again may work
    OUTAGE = "outage"  # nobody knows whether it was committed; the connection is of no use any more


def failure_of(error: BaseException) -> Failure | None:
    """The sort of a failure; None for what trying again cannot mend."""
    if isinstance(error, _UNDONE):
        return Failure.UNDONE
    return Failure.OUTAGE if isinstance(error, _OUTAGES) else None
