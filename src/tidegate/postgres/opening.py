"""Opening the database: it may be starting, wrong, or not for us."""

import asyncio
from time import monotonic

from psycopg import Error, OperationalError, errors

from tidegate.core.errors import ConfigurationError
from tidegate.postgres.address import ServerAddress
from tidegate.postgres.connections import connect
from tidegate.postgres.schema import Release, prepare

_PAUSE_SECONDS = 0.5
_REFUSALS = (
    errors.InvalidAuthorizationSpecification,
    errors.InvalidPassword,
    errors.InvalidCatalogName,
    errors.InsufficientPrivilege,
)


async def open_database(address: ServerAddress, release: Release, patience_seconds: float) -> None:
    """Reach the database and make it ready. Raises ConfigurationError if it is not there after a while, or refuses."""
    ends_at = monotonic() + patience_seconds
    while True:
        try:
            async with await connect(address) as connection:
                return await prepare(connection, release, address.shown)
        except _REFUSALS as error:
            raise ConfigurationError(f"{address.shown} refuses the connection: {error}") from None
        except errors.LockNotAvailable as error:
            if monotonic() >= ends_at:
                raise ConfigurationError(str(error)) from None
        except OperationalError as error:
            if monotonic() >= ends_at:
                raise ConfigurationError(
                    f"{address.shown} cannot be reached: {error}. Check TIDEGATE__ENGINE__URL, and that the server runs"
                ) from None
        except Error as error:
            raise ConfigurationError(f"{address.shown} cannot be made ready: {error}") from error
        await asyncio.sleep(_PAUSE_SECONDS)
