"""Where a process stands among the processes of its service."""

from dataclasses import dataclass, field
from pathlib import Path
from socket import socket

from tidegate.app.condition import Board
from tidegate.app.roles import EVERY_ROLE, Role


@dataclass(frozen=True, slots=True)
class Sockets:
    """Sockets that were bound before the process began, so that several share one, and none closes between two."""

    ingress: socket | None = None
    admin: socket | None = None


@dataclass(frozen=True, slots=True)
class Station:
    """One process's place: its name, what it does, and what it shares with the others.

    `board` carries the conditions of all, `metrics` is a directory in which all count. Alone, it has neither.
    """

    name: str
    roles: frozenset[Role]
    sockets: Sockets = field(default_factory=Sockets)
    board: Board | None = None
    metrics: Path | None = None


ALONE = Station("all", EVERY_ROLE)
"""The only process of its service."""
