"""Opening a catalog in PostgreSQL: its tables are made, or upgraded, by one process at a time."""

from collections.abc import Callable
from functools import partial

from tidegate.postgres import Release, ServerAddress, open_database
from tidegate.targets.catalog.places import PostgresPlace
from tidegate.targets.catalog.postgres.database import Database, Home

_PACKAGE = "tidegate.targets.catalog.postgres"


async def open_home(place: PostgresPlace) -> Callable[[], Database]:
    """Make the tables ready; answers what connects to them. Raises ConfigurationError."""
    home = Home(ServerAddress.parse(place.url), Release.of(_PACKAGE, place.schema), prepares=not place.pooler)
    await open_database(home.address, home.release, place.patience_seconds)
    return partial(Database, home)
