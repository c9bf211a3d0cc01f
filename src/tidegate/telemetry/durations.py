"""Durations on their way into histograms: kept as they come, and sorted into the buckets together now and then.

An event has ten of them, for two sorts of histograms. Keeping one costs a look-up; of many, sorted, each bucket's
share is found at once.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence

from prometheus_client import Histogram

from tidegate.core.runs import WriteAction
from tidegate.core.signals import (
    AttemptEnded,
    BatchApplied,
    EntityWritten,
    EventAccepted,
    EventRouted,
    Takes,
)

HANDED_ON_AFTER_SECONDS = 0.1
"""How old what other processes see of this one may be, and how much of it a kill may cost."""

WRITTEN = (WriteAction.UPSERT, WriteAction.DELETE)
"""What makes the catalog fresh."""

CallLater = Callable[[float, Callable[[], None]], object]
Observe = Callable[[str, str, Sequence[float]], None]
"""Takes durations, the shortest first, of what (a step, `commit`, `routing`, `target` or `freshness`) and kind."""


class SortedHistogram(Histogram):
    """A histogram that takes many observations at once."""

    def observe_all(self, ascending: Sequence[float]) -> None:
        """Observe durations, the shortest first."""
        below = 0
        for bucket, bound in zip(self._buckets, self._upper_bounds, strict=True):  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType, reportUnknownVariableType]
            reached = bisect_right(ascending, bound, below)
            if reached > below:
                bucket.inc(reached - below)  # pyright: ignore[reportUnknownMemberType]
            below = reached
        self._sum.inc(sum(ascending))  # pyright: ignore[reportUnknownMemberType]


class Durations:
    """Keeps durations, and hands them on to those that asked for them.

    `call_later` is the event loop's, where others may look at the histograms at any time; without it, whoever looks
    asks to `hand_on` first.
    """

    def __init__(self, call_later: CallLater | None = None) -> None:
        self._call_later = call_later
        self._takers: list[Observe] = []
        self._kept: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self._due = False

    @property
    def counts(self) -> Takes:
        """All that took some time."""
        return {
            EventAccepted: self._accepted,
            EventRouted: self._routed,
            AttemptEnded: self._attempts_ended,
            EntityWritten: self._written,
            BatchApplied: self._applied,
        }

    def hand_to(self, taker: Observe) -> None:
        """From now on."""
        self._takers.append(taker)

    def hand_on(self) -> None:
        """Let the takers have all of it."""
        self._due = False
        kept, self._kept = self._kept, defaultdict(list)
        for (what, kind), durations in kept.items():
            durations.sort()
            for take in self._takers:
                take(what, kind, durations)

    def _expect(self) -> None:
        if not self._due and self._call_later is not None:
            self._due = True
            self._call_later(HANDED_ON_AFTER_SECONDS, self.hand_on)

    def _accepted(self, signals: list[EventAccepted]) -> None:
        self._keep("commit", "", [signal.commit_seconds for signal in signals if not signal.duplicate])

    def _routed(self, signals: list[EventRouted]) -> None:
        self._keep("routing", "", [signal.duration_seconds for signal in signals])

    def _attempts_ended(self, signals: list[AttemptEnded]) -> None:
        for signal in signals:
            for step in signal.steps:
                self._kept[step.name, signal.kind].append(step.duration_seconds)
        self._expect()

    def _written(self, signals: list[EntityWritten]) -> None:
        for signal in signals:
            if signal.action in WRITTEN:
                self._kept["freshness", signal.kind].append(signal.freshness_seconds)
        self._expect()

    def _applied(self, signals: list[BatchApplied]) -> None:
        self._keep("target", "", [signal.duration_seconds for signal in signals])

    def _keep(self, what: str, kind: str, seconds: list[float]) -> None:
        if seconds:
            self._kept[what, kind] += seconds
            self._expect()
