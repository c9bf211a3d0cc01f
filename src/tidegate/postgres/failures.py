"""What an error of the database means for who asked: try again, wait until it is back, or mend the code."""

from enum import Enum

from psycopg import InterfaceError, OperationalError, errors

_UNDONE = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    errors.OutOfMemory,  # also: no room for more locks; fewer at once may go
)
_POOLED = (
    # A pooler has given us another server connection than the one that a statement was prepared on.
    errors.InvalidSqlStatementName,
    errors.DuplicatePreparedStatement,
)
_OUTAGES = (
    OperationalError,
    InterfaceError,
    errors.ReadOnlySqlTransaction,  # a fail-over has made a standby of it
    OSError,
    *_POOLED,
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


def said(error: BaseException) -> str:
    """An error's text, and how to mend it where that is known."""
    if isinstance(error, _POOLED):
        return (
            f"{error}. Behind a pooler that works by transaction, set TIDEGATE__ENGINE__POSTGRES_POOLER=true"
        )
    return str(error)
