"""What can be made to go wrong at the Port stub, and in which order: the first fault that fits a request is used."""

import re
from dataclasses import dataclass, field
from enum import StrEnum


class FaultKind(StrEnum):
    """How a request goes wrong."""

    ANSWER = "answer"  # with a status, before anything is done
    HANG = "hang"  # no answer until the stub closes or the client gives up
    RESET = "reset"  # the connection is reset before anything is done
    LOSE_ANSWER = "lose-answer"  # the request is carried out, then the connection is reset


@dataclass(slots=True)
class Fault:
    """One kind of trouble for the next `count` requests (None: until it is taken away) whose path matches."""

    kind: FaultKind
    count: int | None = 1
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict[str, str])
    path: str = ""

    def fits(self, path: str) -> bool:
        return self.count != 0 and re.search(self.path, path) is not None

    def use(self) -> None:
        if self.count is not None:
            self.count -= 1


@dataclass(slots=True)
class FaultPlan:
    """The faults that are due, oldest first, and entities that are refused by name."""

    faults: list[Fault] = field(default_factory=list[Fault])
    refused: dict[tuple[str, str], tuple[int, str]] = field(
        default_factory=dict[tuple[str, str], tuple[int, str]]
    )
    delay_seconds: float = 0.0

    def take(self, path: str) -> Fault | None:
        """The fault for a request to this path, used up once; None if the request goes well."""
        for fault in self.faults:
            if fault.fits(path):
                fault.use()
                return fault
        return None
