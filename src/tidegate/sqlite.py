"""SQLite files as the engine and the catalog keep them: made by one process at a time, private, and known again."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tidegate.core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class FileKind:
    """Whose a file is (`application_id`), and the newest schema that this version knows.

    `owner` is how messages call it: "engine", "catalog".
    """

    owner: str
    application_id: int
    version: int

    def recognise(self, path: Path, application_id: int, version: int) -> None:
        """Raises ConfigurationError if a file that says so of itself is not of this kind, or is too new."""
        if application_id != self.application_id:
            raise ConfigurationError(
                f"{path} is an SQLite file, but not one of Tidegate's {self.owner}: name another"
            )
        if version > self.version:
            raise ConfigurationError(
                f"{path} was written by a newer Tidegate (schema {version}, this one knows {self.version}):"
                " upgrade Tidegate, or name another file"
            )


@contextmanager
def opening(path: Path) -> Generator[None]:
    """Make the file and its folder if they are missing, and keep others from opening files of the folder meanwhile:
    two processes that switch a new file to WAL do not wait for each other, they fail. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # what is in there is nobody else's business
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
