"""How a schema comes into being and grows, while older versions of the program go on working on it.

Two things belong to a release: migrations, which change tables and only ever add to them, and verbs, functions that
each release keeps in a schema of its own. So a rolling upgrade has old and new programs side by side, each calling
the functions that it was tested with. One advisory lock lets one process at a time create or upgrade.
"""

from dataclasses import dataclass
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable

from psycopg import errors
from psycopg.sql import SQL, Identifier

from tidegate.core.errors import ConfigurationError
from tidegate.postgres.connections import Connection, query_text

LOCK_SECONDS = 2
"""Who waits to change a table holds up all who come to use it: not for longer."""

KEPT_DAYS = 30
"""Verbs of a release of which nothing was seen for so long are dropped by the next upgrade."""

_TABLES = """
CREATE TABLE IF NOT EXISTS schema_versions (
    version integer PRIMARY KEY,
    least integer NOT NULL DEFAULT 1,  -- programs that know fewer migrations than this cannot go on
    at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS verb_schemas (name text PRIMARY KEY, seen_at timestamptz NOT NULL DEFAULT now());
"""
_SEEN = (
    "INSERT INTO verb_schemas (name) VALUES (%s)"
    " ON CONFLICT (name) DO UPDATE SET seen_at = now() WHERE verb_schemas.seen_at < now() - interval '1 day'"
)
_FORGOTTEN = (
    "DELETE FROM verb_schemas WHERE seen_at < now() - make_interval(days => %s) AND name <> %s RETURNING name"
)


@dataclass(frozen=True, slots=True)
class Release:
    """What this version of the program needs: tables in `schema`, functions in `verbs_schema`."""

    schema: str
    migrations: tuple[str, ...]
    verbs: tuple[str, ...] = ()

    @classmethod
    def of(cls, package: str, schema: str) -> "Release":
        """The files in the folders `migrations` and `verbs` of a package, in the order of their names."""
        return cls(schema, _texts(files(package) / "migrations"), _texts(files(package) / "verbs"))

    @property
    def verbs_schema(self) -> str:
        """Named by what is in it."""
        digest = blake2b("\0".join(self.verbs).encode(), digest_size=4)
        return f"{self.schema}_{digest.hexdigest()}"


def _texts(folder: Traversable) -> tuple[str, ...]:
    if not folder.is_dir():
        return ()
    scripts = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple((folder / name).read_text(encoding="utf-8") for name in scripts)


async def prepare(connection: Connection, release: Release, where: str) -> None:
    """Create or upgrade what the release needs. Raises ConfigurationError if that is not allowed, or if a
    newer version has taken the tables over.
    """
    try:
        await _check_server(connection, where)
        if not await _is_prepared(connection, release, where):
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (release.schema,))
                await connection.execute(query_text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
                await _upgrade(connection, release, where)
    except errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"{where} does not let this user create what is needed: {error.diag.message_primary}. Make the user the"
            " owner of the database, or GRANT CREATE ON DATABASE to it"
        ) from None
    except errors.LockNotAvailable as error:
        raise errors.LockNotAvailable(
            f"{where} cannot be upgraded now, because somebody has been using its tables for long, such as a dump: wait"
            " for that, or see pg_stat_activity"
        ) from error


async def _check_server(connection: Connection, where: str) -> None:
    if connection.info.server_version < 140_000:
        raise ConfigurationError(
            f"{where} is PostgreSQL {connection.info.server_version // 10_000}: 14 or newer is needed"
        )
    if connection.info.encoding not in {"utf-8", "UTF8"}:
        raise ConfigurationError(f"{where} does not speak UTF-8: create the database with ENCODING 'UTF8'")
    row = await (await connection.execute("SHOW default_transaction_isolation")).fetchone()
    if row is not None and row[0] != "read committed":
        # Who waited for a lock has to see what was committed meanwhile.
        raise ConfigurationError(
            f"{where} begins transactions as {row[0]}: ALTER ROLE … SET default_transaction_isolation ="
            " 'read committed' for the user of Tidegate"
        )


async def _is_prepared(connection: Connection, release: Release, where: str) -> bool:
    version, least = await _versions(connection, release)
    if least > len(release.migrations):
        raise ConfigurationError(
            f"{where}, schema {release.schema}, is in use by a newer Tidegate (version {version}, this one knows"
            f" {len(release.migrations)}): upgrade Tidegate, or name another schema"
        )
    if version < len(release.migrations):
        return False
    return not release.verbs or await _exists(
        connection, "to_regnamespace(quote_ident(%s))", release.verbs_schema
    )


async def _exists(connection: Connection, what: str, name: str) -> bool:
    cursor = await connection.execute(query_text(f"SELECT {what} IS NOT NULL"), (name,))
    row = await cursor.fetchone()
    return row is not None and row[0]


async def _versions(connection: Connection, release: Release) -> tuple[int, int]:
    """How many migrations the tables have seen, and how many a program must know to use them."""
    if not await _exists(connection, "to_regclass(format('%%I.schema_versions', %s::text))", release.schema):
        return 0, 0
    query = SQL("SELECT coalesce(max(version), 0), coalesce(max(least), 0) FROM {}.schema_versions")
    row = await (await connection.execute(query.format(Identifier(release.schema)))).fetchone()
    return (row[0], row[1]) if row else (0, 0)


async def _upgrade(connection: Connection, release: Release, where: str) -> None:
    """Run what is missing, all or nothing. Another process may have done it while this one waited."""
    if await _is_prepared(connection, release, where):
        return
    schema = Identifier(release.schema)
    if not await _exists(connection, "to_regnamespace(quote_ident(%s))", release.schema):
        await connection.execute(SQL("CREATE SCHEMA {}").format(schema))
    await connection.execute(SQL("SET LOCAL search_path = {}").format(schema))
    await connection.execute(query_text(_TABLES))
    version, _ = await _versions(connection, release)
    for number, script in enumerate(release.migrations, start=1):
        if number > version:
            await connection.execute(query_text(script))
            await connection.execute("INSERT INTO schema_versions (version) VALUES (%s)", (number,))
    if release.verbs:
        await _install_verbs(connection, release)


async def _install_verbs(connection: Connection, release: Release) -> None:
    """The functions of this release; those of releases that are gone are dropped."""
    name = release.verbs_schema
    await connection.execute(query_text(_SEEN), (name,))
    forgotten = await (await connection.execute(query_text(_FORGOTTEN), (KEPT_DAYS, name))).fetchall()
    for (old,) in forgotten:
        await connection.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(old)))
    if await _exists(connection, "to_regnamespace(quote_ident(%s))", name):
        return
    await connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(name)))
    path = SQL("SET LOCAL search_path = {}, {}").format(Identifier(name), Identifier(release.schema))
    await connection.execute(path)
    for script in release.verbs:
        await connection.execute(query_text(script))
