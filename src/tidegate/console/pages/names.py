"""The paths, processors and kinds that filters offer: those of the newest events and runs."""

from dataclasses import dataclass, field

from tidegate.core.inspection import EventFilter, Page, RunFilter
from tidegate.core.ports import Clock, EngineOperations

LOOKED_AT = Page(200)
KEPT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Names:
    """What there is to choose from."""

    paths: tuple[str, ...] = ()
    processors: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


@dataclass(slots=True)
class KnownNames:
    """Looks now and then, and never forgets a name that it saw."""

    engine: EngineOperations
    clock: Clock
    _names: Names = field(default_factory=Names)
    _looked_at: float | None = None

    async def current(self) -> Names:
        now = self.clock.monotonic()
        if self._looked_at is None or now - self._looked_at > KEPT_SECONDS:
            self._looked_at = now
            events = await self.engine.find_events(EventFilter(), LOOKED_AT)
            runs = await self.engine.find_runs(RunFilter(), LOOKED_AT)
            self._names = Names(
                _joined(self._names.paths, {event.path for event in events}),
                _joined(self._names.processors, {run.processor for run in runs}),
                _joined(self._names.kinds, {run.kind for run in runs if run.kind}),
            )
        return self._names


def _joined(known: tuple[str, ...], seen: set[str]) -> tuple[str, ...]:
    return tuple(sorted({*known, *seen}))
