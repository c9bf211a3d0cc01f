"""The engine's file: how it is created, recognised, upgraded and opened.

The schema is the sum of the files in migrations/, in the order of their numbers; `user_version` is the last
one that the file has seen.
"""

from importlib.resources import files
from pathlib import Path

from tidegate.core.errors import ConfigurationError
from tidegate.engines.sqlite.database import Database, SqliteError, is_outage
from tidegate.sqlite import FileKind, opening

APPLICATION_ID = 0x54474531  # "TGE1"

_PAGE_BYTES = 8_192
_CACHE_KIB = 16_384
_WAL_LIMIT_BYTES = 64 * 1024 * 1024


def migrations() -> list[str]:
    """The statements of each migration, the first one first."""
    folder = files("tidegate.engines.sqlite") / "migrations"
    scripts = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(folder / name).read_text(encoding="utf-8") for name in scripts]


def open_writer(path: Path) -> Database:
    """Open the file for writing; it and its folder are created if they are missing.

    Raises ConfigurationError if it cannot be opened or written, is not an engine's file, or was written by a
    newer version.
    """
    try:
        with opening(path):
            database = Database(path)
            try:
                _prepare(database, path)
            except BaseException:
                database.close()
                raise
    except (SqliteError, OSError) as error:
        if not (isinstance(error, OSError) or is_outage(error)):
            raise  # a bug of ours: no advice would help
        raise ConfigurationError(
            f"the engine's file {path} cannot be opened: {error}. Check that it is a file of Tidegate's engine,"
            " that this user may write it and its folder, and that there is room on the disk"
        ) from None
    return database


def open_reader(path: Path) -> Database:
    """Open the file for looking only. Raises SqliteError."""
    return Database(path, readonly=True)


def _prepare(database: Database, path: Path) -> None:
    scripts = migrations()
    _check_version(database, path, len(scripts))
    database.pragma("page_size", _PAGE_BYTES)
    database.pragma("journal_mode", "wal")
    database.pragma("synchronous", "normal")  # who counts on the disk calls `sync`
    database.pragma("cache_size", -_CACHE_KIB)
    database.pragma("temp_store", "memory")
    database.pragma("journal_size_limit", _WAL_LIMIT_BYTES)
    if database.pragma("user_version") < len(scripts):
        _upgrade(database, path, scripts)


def _upgrade(database: Database, path: Path, scripts: list[str]) -> None:
    """Run the migrations that the file has not seen, all or none."""
    database.run("BEGIN IMMEDIATE")  # two processes may create or upgrade the file at once
    _check_version(database, path, len(scripts))
    for number, script in enumerate(scripts, start=1):
        if number > database.pragma("user_version"):
            database.run(script)
            database.pragma("user_version", number)
    database.pragma("application_id", APPLICATION_ID)
    database.run("COMMIT")


def _check_version(database: Database, path: Path, known: int) -> None:
    if database.rows("SELECT 1 FROM sqlite_schema LIMIT 1"):
        kind = FileKind("engine", APPLICATION_ID, known)
        kind.recognise(path, database.pragma("application_id"), database.pragma("user_version"))
