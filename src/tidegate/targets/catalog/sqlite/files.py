"""The catalog's SQLite file: its schema, its version, and how it is opened."""

from pathlib import Path

from tidegate.core.errors import ConfigurationError
from tidegate.sqlite import FileKind, opening
from tidegate.targets.catalog.sqlite.database import Database, SqliteError

_KIND = FileKind("catalog", application_id=0x54474341, version=1)  # "TGCA"

_PAGE_BYTES = 16_384
_CHECKPOINT_PAGES = 512  # 8 MiB of WAL: short pauses, few of them

_SCHEMA = """
CREATE TABLE blueprints (
    identifier TEXT PRIMARY KEY,
    document TEXT NOT NULL,
    source TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
);
-- fence: of the last change that `source` made; those of other sources and of deleted entities are in fences
CREATE TABLE entities (
    id INTEGER PRIMARY KEY,
    blueprint TEXT NOT NULL,
    identifier TEXT NOT NULL,
    fence INTEGER NOT NULL,
    source TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_by TEXT NOT NULL,
    title TEXT,
    icon TEXT,
    team TEXT NOT NULL,
    properties TEXT NOT NULL,
    relations TEXT NOT NULL,
    UNIQUE (blueprint, identifier)
);
CREATE TABLE fences (
    blueprint TEXT NOT NULL,
    identifier TEXT NOT NULL,
    source TEXT NOT NULL,
    fence INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (blueprint, identifier, source)
) WITHOUT ROWID;
CREATE INDEX fences_by_age ON fences (at_ms);
-- one row for each target of each relation; entities.relations says the same, read from the other end
CREATE TABLE edges (
    target_blueprint TEXT NOT NULL,
    target_identifier TEXT NOT NULL,
    blueprint TEXT NOT NULL,
    identifier TEXT NOT NULL,
    relation TEXT NOT NULL,
    PRIMARY KEY (target_blueprint, target_identifier, blueprint, identifier, relation)
) WITHOUT ROWID;
CREATE INDEX edges_by_source ON edges (blueprint, identifier, relation);
"""


def open_writer(path: Path) -> Database:
    """Open the file for writing, creating it and its folder if missing.

    Raises ConfigurationError if it cannot be opened, is not a catalog, or was written by a newer version.
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
        raise ConfigurationError(
            f"the catalog's file {path} cannot be opened: {error}. Check that it is a file of Tidegate's"
            " catalog, and that this user may write it and its folder"
        ) from None
    return database


def _prepare(database: Database, path: Path) -> None:
    if _has_tables(database):
        _KIND.recognise(path, database.pragma("application_id"), database.pragma("user_version"))
    database.pragma("page_size", _PAGE_BYTES)
    database.pragma("journal_mode", "wal")
    database.pragma("synchronous", "full")
    database.pragma("wal_autocheckpoint", _CHECKPOINT_PAGES)
    with database.transaction():  # two processes may create the file at once
        if not _has_tables(database):
            database.run(_SCHEMA)
            database.pragma("application_id", _KIND.application_id)
            database.pragma("user_version", _KIND.version)


def _has_tables(database: Database) -> bool:
    return database.value("SELECT count(*) FROM sqlite_schema") > 0
