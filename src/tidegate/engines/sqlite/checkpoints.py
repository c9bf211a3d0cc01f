"""Copies the write-ahead log into the file, on a connection and a thread of its own: no commit waits for it.

SQLite would do it inside of the commit that makes the log long enough: it copies megabytes and waits for the disk
twice, which is a webhook's answer delayed by a tenth of a second.
"""

import time
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from tidegate.engines.sqlite.database import Database, SqliteError

LOG_BYTES = 16 * 1024 * 1024
"""How long the log may grow until it is copied: short pauses of the disk, few of them."""

_TRIES = 50
_PAUSE_SECONDS = 0.002


class Checkpointer:
    """Of one engine in one process; those of several take turns."""

    def __init__(self, path: Path) -> None:
        """Raises SqliteError."""
        self._database = Database(path)
        self._database.be_patient(False)
        self._database.pragma("synchronous", "normal")
        self._pages: int = LOG_BYTES // self._database.pragma("page_size")
        self._asked: SimpleQueue[bool] = SimpleQueue()
        self._busy = False
        self._thread = Thread(target=self._work, name="tidegate-checkpoints", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def grown(self, pages: int) -> None:
        """The log has this many pages."""
        if pages >= self._pages and not self._busy:
            self._busy = True
            self._asked.put(True)

    def close(self) -> None:
        """Finish what has begun."""
        self._asked.put(False)
        self._thread.join()
        self._database.close()

    def _work(self) -> None:
        while self._asked.get():
            with suppress(SqliteError):  # the next commit asks again
                self._copy()
            self._busy = False

    def _copy(self) -> None:
        """Most of it while others write; the rest while nobody does, so that the log begins anew."""
        self._database.checkpoint()
        for _ in range(_TRIES):
            with suppress(SqliteError):  # somebody writes
                if self._database.checkpoint(alone=True):
                    return
            time.sleep(_PAUSE_SECONDS)
