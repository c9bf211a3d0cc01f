"""PostgreSQL as the engine and the catalog use it: connections that come back, and schemas that grow."""

from tidegate.postgres.address import ServerAddress
from tidegate.postgres.connections import Connections, Row, Values
from tidegate.postgres.failures import Failure, failure_of, said
from tidegate.postgres.opening import open_database
from tidegate.postgres.schema import Release, prepare

__all__ = [
    "Connections",
    "Failure",
    "Release",
    "Row",
    "ServerAddress",
    "Values",
    "failure_of",
    "open_database",
    "prepare",
    "said",
]
