"""The signals that every event has, kept for one turn of the event loop: those of a kind are counted together.

Under load a turn has dozens of each, most of them alike. What a kill may cost is the turn that it interrupts.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Protocol

from tidegate.core.signals import Signal, Takes

CallSoon = Callable[[Callable[[], None]], object]


class Counting(Protocol):
    """Counts some of the signals."""

    @property
    def counts(self) -> Takes:
        """What it does with a list of signals of a kind."""
        ...


def _now(then: Callable[[], None]) -> None:
    then()


class Turns:
    """A subscriber that hands lists of signals on to those that count them.

    `call_soon` is the event loop's; without it, each signal is handed on at once.
    """

    def __init__(self, *counting: Counting, call_soon: CallSoon = _now) -> None:
        self._call_soon = call_soon
        self._takers: dict[type[Signal], list[Callable[[Any], None]]] = {}
        for one in counting:
            for kind, count in one.counts.items():
                self._takers.setdefault(kind, []).append(count)
        self._kept: defaultdict[type[Signal], list[Signal]] = defaultdict(list)

    @property
    def takes(self) -> Takes:
        """All that is counted."""
        return dict.fromkeys(self._takers, self._keep)

    def _keep(self, signal: Signal) -> None:
        is_first = not self._kept
        self._kept[type(signal)].append(signal)
        if is_first:
            self._call_soon(self.hand_on)

    def hand_on(self) -> None:
        """Let them have all of it."""
        kept, self._kept = self._kept, defaultdict(list)
        for kind, signals in kept.items():
            for count in self._takers[kind]:
                count(signals)
