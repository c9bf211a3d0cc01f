"""Where the database is: a URL, checked, and a name for it that holds no password."""

from dataclasses import dataclass, field
from typing import Self

from psycopg import Error
from psycopg.conninfo import conninfo_to_dict

from tidegate.core.errors import ConfigurationError

# A host that is cut off is noticed after about ten seconds, whichever side was talking.
_BOUNDS = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "target_session_attrs": "read-write",
    "application_name": "tidegate",
}


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """What to connect to. `shown` is for people: user, host and database, no password."""

    parameters: dict[str, str | int] = field(repr=False)
    shown: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a postgresql:// URL as libpq does. Raises ConfigurationError, which does not quote it."""
        try:
            given = conninfo_to_dict(url)
        except Error:
            raise ConfigurationError(
                "the PostgreSQL URL cannot be read: write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with"
                " special characters of the password percent-encoded"
            ) from None
        named = {name: str(value) for name, value in given.items() if value is not None}
        user = f"{named['user']}@" if "user" in named else ""
        port = f":{named['port']}" if "port" in named else ""
        where = f"{user}{named.get('host', 'localhost')}{port}/{named.get('dbname', '')}"
        return cls({**_BOUNDS, **named}, f"postgresql://{where}")
