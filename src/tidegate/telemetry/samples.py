"""Rolls what a process did up into samples, and hands them to the engine every few seconds.

What every event has is added up a turn of the event loop at a time. What cannot be kept now is kept with the next sample.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from tidegate.core.causes import cause_of
from tidegate.core.errors import EngineUnavailableError
from tidegate.core.ports import Clock, EngineOperations
from tidegate.core.samples import Process, Stage
from tidegate.core.signals import (
    DependencyPaused,
    DutyFailed,
    EntityWritten,
    EventAccepted,
    EventRefused,
    EventRouted,
    MappingWarned,
    ProcessorFailed,
    RunSettled,
    Takes,
)
from tidegate.core.tallies import CountKey, ErrorKey, Tally
from tidegate.telemetry.durations import Durations

SAMPLE_SECONDS = 5.0

_FAILURES = frozenset({"retry", "dead", "rejected"})


class SampleRoll:
    """A subscriber that adds up what happened since it was last taken. `durations` keeps how long that took."""

    def __init__(self, durations: Durations) -> None:
        self.tally = Tally()
        self._durations = durations
        durations.hand_to(self._observe)
        self.paused: dict[str, str] = {}

    @property
    def takes(self) -> Takes:
        """What has a part in samples, and is rare."""
        return {
            EventRefused: self._refused,
            ProcessorFailed: self._processor_failed,
            MappingWarned: self._warned,
            DependencyPaused: self._pause,
            DutyFailed: self._duty_failed,
        }

    @property
    def counts(self) -> Takes:
        """What every event has."""
        return {
            EventAccepted: self._accepted,
            EventRouted: self._routed,
            RunSettled: self._settled,
            EntityWritten: self._written,
        }

    def take(self) -> Tally:
        """What was added up; begins anew."""
        self._durations.hand_on()
        taken, self.tally = self.tally, Tally()
        return taken

    def _observe(self, what: str, kind: str, ascending: Sequence[float]) -> None:
        self.tally.time(what, kind, *ascending)

    def _accepted(self, signals: list[EventAccepted]) -> None:
        for (duplicate, path), times in Counter((each.duplicate, each.path) for each in signals).items():
            self.tally.count(CountKey(Stage.RECEIVED, "duplicate" if duplicate else "accepted", path), times)

    def _refused(self, signal: EventRefused) -> None:
        self.tally.count(CountKey(Stage.RECEIVED, signal.reason, signal.path))
        self.tally.fail(ErrorKey(Stage.RECEIVED, f"{signal.status} {signal.reason}"), signal.path)

    def _routed(self, signals: list[EventRouted]) -> None:
        for (path, runs), times in Counter((each.path, each.runs) for each in signals).items():
            self.tally.count(CountKey(Stage.ROUTED, "routed" if runs else "ignored", path), times)
            if runs:
                self.tally.count(CountKey(Stage.ASKED, "", path), runs * times)

    def _processor_failed(self, signal: ProcessorFailed) -> None:
        self.tally.fail(ErrorKey(Stage.ROUTED, cause_of(signal.error), signal.processor), signal.event_id)

    def _settled(self, signals: list[RunSettled]) -> None:
        keys = [
            CountKey(Stage.SETTLED, "stale" if each.stale else each.outcome, "", each.processor, each.kind)
            for each in signals
        ]
        for key, times in Counter(keys).items():
            self.tally.count(key, times)
        for signal in signals:
            if not signal.stale:
                self._detail(signal)

    def _detail(self, signal: RunSettled) -> None:
        if signal.outcome in _FAILURES:
            key = ErrorKey(signal.step, cause_of(signal.detail), signal.processor, signal.kind)
            self.tally.fail(key, str(signal.run_id))
        elif signal.outcome == "completed" and signal.event_count > 1:
            key = CountKey(Stage.COALESCED, "", "", signal.processor, signal.kind)
            self.tally.count(key, signal.event_count - 1)

    def _written(self, signals: list[EntityWritten]) -> None:
        for (action, kind), times in Counter((each.action, each.kind) for each in signals).items():
            self.tally.count(CountKey(Stage.WRITTEN, action, "", "", kind), times)

    def _warned(self, signal: MappingWarned) -> None:
        self.tally.count(CountKey(Stage.WARNED, "", "", "", signal.kind))

    def _pause(self, signal: DependencyPaused) -> None:
        if signal.paused:
            self.paused[signal.name] = signal.reason
        else:
            self.paused.pop(signal.name, None)

    def _duty_failed(self, signal: DutyFailed) -> None:
        self.tally.fail(ErrorKey(signal.duty, cause_of(signal.error)), "")


@dataclass(slots=True)
class SampleKeeper:
    """Keeps the samples of this process. `in_flight` says how many runs it has in hand."""

    engine: EngineOperations
    clock: Clock
    process: Process
    roll: SampleRoll
    in_flight: Callable[[], int]
    interval_seconds: float = SAMPLE_SECONDS
    _taken_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._taken_at = self.clock.monotonic()

    async def keep(self) -> None:
        """Keep samples until cancelled."""
        while True:
            await asyncio.sleep(self.interval_seconds)
            await self.keep_one()

    async def keep_one(self, *, leaving: bool = False) -> None:
        """Keep one sample; if the engine cannot take it, what it counted goes into the next one."""
        now = self.clock.monotonic()
        tally = self.roll.take()
        sample = tally.sample(
            self.process,
            self.clock.now(),
            now - self._taken_at,
            paused=self.roll.paused,
            in_flight=self.in_flight(),
            backlog=None,
            leaving=leaving,
        )
        try:
            backlog = await self.engine.backlog()
            await self.engine.keep_sample(msgspec.structs.replace(sample, backlog=backlog))
        except EngineUnavailableError:
            self.roll.tally.add(sample)
        else:
            self._taken_at = now
