"""How a process is: why it is not ready, and what it has paused. Processes of one service post it for each other."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec


class ServiceCondition(Protocol):
    """What health pages show of a whole service."""

    def texts(self) -> list[str]:
        """Why it is not ready; nothing if it is."""
        ...

    def paused(self) -> dict[str, str]:
        """What is left alone for now (`target`, or a third-party host), and why."""
        ...


def _nothing() -> dict[str, str]:
    return {}


@dataclass(slots=True)
class Condition:
    """That of one process: ready if there is no reason against it."""

    reasons: dict[str, str] = field(default_factory=dict[str, str])
    pauses: Callable[[], dict[str, str]] = _nothing

    def texts(self) -> list[str]:
        return [f"{name}: {reason}" if reason else name for name, reason in self.reasons.items()]

    def paused(self) -> dict[str, str]:
        return self.pauses()


class Notice(msgspec.Struct, frozen=True):
    """A condition as it is posted."""

    reasons: tuple[str, ...] = ()
    paused: Mapping[str, str] = {}


@dataclass(slots=True)
class Board:
    """A directory with a notice of each process, by its name."""

    directory: Path
    _posted: dict[str, Notice] = field(default_factory=dict[str, Notice])

    def post(self, name: str, *reasons: str, paused: Mapping[str, str] | None = None) -> None:
        """Replace a process's notice, if it changed. One that cannot be written now is written next time."""
        notice = Notice(reasons, paused or {})
        if self._posted.get(name) == notice:
            return
        draft = self.directory / f".{name}"
        with suppress(OSError):
            draft.write_bytes(msgspec.json.encode(notice))
            draft.replace(self._path(name))
            self._posted[name] = notice

    def forget(self, name: str) -> None:
        """Another process wrote here meanwhile: the next notice is written in any case."""
        self._posted.pop(name, None)

    def texts(self) -> list[str]:
        """Every reason once, however many processes have it."""
        return list(dict.fromkeys(reason for notice in self._notices() for reason in notice.reasons))

    def paused(self) -> dict[str, str]:
        return {name: reason for notice in self._notices() for name, reason in notice.paused.items()}

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}.json"

    def _notices(self) -> list[Notice]:
        return [
            msgspec.json.decode(path.read_bytes(), type=Notice)
            for path in sorted(self.directory.glob("*.json"))
        ]
