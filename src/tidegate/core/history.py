"""Keeps the samples of an hour, added up, and makes overviews of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tidegate.core.histograms import Histogram
from tidegate.core.inspection import Backlog
from tidegate.core.overviews import ErrorLine, Overview, Pause, ProcessState, Rate, Series, Timing
from tidegate.core.samples import Sample, Stage
from tidegate.core.tallies import ErrorKey, Tally

WINDOW = timedelta(seconds=60)
SPAN = timedelta(hours=1)
STEP_SECONDS = 30
SILENT_AFTER = timedelta(seconds=20)
"""Four samples that did not come."""
FORGOTTEN_AFTER = timedelta(minutes=10)
LEFT_SHOWN = timedelta(minutes=1)

ACCEPTED = frozenset({"accepted", "duplicate"})
FAILED = frozenset({"retry", "dead", "rejected"})


@dataclass(slots=True)
class _Cell:
    """The samples of one step of the series."""

    tally: Tally = field(default_factory=Tally)
    backlog: Backlog | None = None
    last_errors: dict[ErrorKey, datetime] = field(default_factory=dict[ErrorKey, datetime])

    def add(self, sample: Sample) -> None:
        self.tally.add(sample)
        self.backlog = sample.backlog or self.backlog
        for stage, cause, processor, kind, *_ in sample.errors:
            self.last_errors[ErrorKey(stage, cause, processor, kind)] = sample.at


class History:
    """An hour of samples, at a cost that does not grow with what the processes did."""

    def __init__(self) -> None:
        self._recent: list[Sample] = []
        self._cells: dict[int, _Cell] = {}
        self._latest: dict[str, Sample] = {}
        self._began_at: datetime | None = None

    @property
    def newest_at(self) -> datetime | None:
        """When the newest sample was kept."""
        return max((sample.at for sample in self._latest.values()), default=None)

    def add(self, samples: Iterable[Sample]) -> None:
        """Take up samples, those of one process oldest first; known ones make no difference.

        Forgets what is older than SPAN before the newest one.
        """
        for sample in samples:
            known = self._latest.get(sample.process.id)
            if known is not None and sample.at <= known.at:
                continue
            self._latest[sample.process.id] = sample
            self._recent.append(sample)
            self._cells.setdefault(_step_of(sample.at), _Cell()).add(sample)
            began_at = sample.at - timedelta(seconds=sample.seconds)
            self._began_at = min(self._began_at or began_at, began_at)
        newest = self.newest_at
        if newest is not None:
            self._forget(newest)

    def _forget(self, newest: datetime) -> None:
        self._recent = [sample for sample in self._recent if sample.at > newest - 2 * WINDOW]
        first = _step_of(newest - SPAN) - 1
        self._cells = {step: cell for step, cell in self._cells.items() if step >= first}
        self._latest = {
            name: sample for name, sample in self._latest.items() if sample.at > newest - FORGOTTEN_AFTER
        }

    def overview(self, backlog: Backlog, now: datetime) -> Overview:
        """How things stand at `now`, which is the engine's time."""
        window = Tally()
        for sample in self._recent:
            if sample.at > now - WINDOW:
                window.add(sample)
        seconds = WINDOW.total_seconds()
        if self._began_at is not None:
            seconds = min(seconds, max((now - self._began_at).total_seconds(), 1.0))
        timings = tuple(_timings(window, seconds))
        processes = tuple(self._processes(now))
        return Overview(
            at=now,
            window_seconds=seconds,
            backlog=backlog,
            in_flight=sum(process.in_flight for process in processes if process.state == "alive"),
            rates=tuple(_rates(window, seconds)),
            timings=tuple(timing for timing in timings if timing.what != "freshness"),
            freshness=tuple(timing for timing in timings if timing.what == "freshness"),
            errors=tuple(self._errors(window, now)),
            series=self._series(now),
            paused=tuple(self._paused(now)),
            processes=processes,
        )

    def _errors(self, window: Tally, now: datetime) -> list[ErrorLine]:
        """Most frequent in the hour first."""
        counts: dict[ErrorKey, int] = {}
        last: dict[ErrorKey, tuple[datetime, str]] = {}
        for step, cell in sorted(self._cells.items()):
            if step < _step_of(now - SPAN):
                continue
            for key, (count, example) in cell.tally.errors.items():
                counts[key] = counts.get(key, 0) + count
                last[key] = (cell.last_errors.get(key, _time_of(step)), example)
        lines = [
            ErrorLine(*key, count, window.errors.get(key, (0, ""))[0], *last[key])
            for key, count in counts.items()
        ]
        return sorted(lines, key=lambda line: (-line.count, line.stage, line.cause))

    def _series(self, now: datetime) -> Series:
        end = _step_of(now)
        steps = range(end - int(SPAN.total_seconds()) // STEP_SECONDS, end)
        cells = [self._cells.get(step, _EMPTY) for step in steps]
        return Series(
            began_at=_time_of(steps[0]),
            step_seconds=STEP_SECONDS,
            received=tuple(_share(cell, Stage.RECEIVED, ACCEPTED) for cell in cells),
            written=tuple(_share(cell, Stage.WRITTEN, None) for cell in cells),
            failed=tuple(_share(cell, Stage.SETTLED, FAILED) for cell in cells),
            freshness_p99_seconds=tuple(_freshness(cell) for cell in cells),
            unfinished=tuple(cell.backlog.unfinished if cell.backlog else None for cell in cells),
            dead=tuple(cell.backlog.dead_runs if cell.backlog else None for cell in cells),
        )

    def _paused(self, now: datetime) -> Iterator[Pause]:
        by_name: dict[str, list[Sample]] = {}
        for sample in self._latest.values():
            if _state(sample, now) == "alive":
                for name in sample.paused:
                    by_name.setdefault(name, []).append(sample)
        for name, samples in sorted(by_name.items()):
            yield Pause(name, samples[-1].paused[name], tuple(sample.process.id for sample in samples))

    def _processes(self, now: datetime) -> Iterator[ProcessState]:
        for sample in sorted(
            self._latest.values(), key=lambda sample: (sample.process.role, sample.process.started_at)
        ):
            process, state = sample.process, _state(sample, now)
            if state == "left" and now - sample.at > LEFT_SHOWN:
                continue
            yield ProcessState(
                id=process.id,
                role=process.role,
                host=process.host,
                pid=process.pid,
                started_at=process.started_at,
                seen_at=sample.at,
                in_flight=sample.in_flight,
                state=state,
            )


_EMPTY = _Cell()


def _step_of(at: datetime) -> int:
    return int(at.timestamp()) // STEP_SECONDS


def _time_of(step: int) -> datetime:
    return datetime.fromtimestamp(step * STEP_SECONDS, UTC)


def _state(sample: Sample, now: datetime) -> str:
    if sample.leaving:
        return "left"
    return "silent" if now - sample.at > SILENT_AFTER else "alive"


def _share(cell: _Cell, stage: Stage, outcomes: frozenset[str] | None) -> float:
    """How often a second."""
    counts = cell.tally.counts.items()
    found = (
        count for key, count in counts if key.stage == stage and (outcomes is None or key.outcome in outcomes)
    )
    return sum(found) / STEP_SECONDS


def _freshness(cell: _Cell) -> float | None:
    return _together(cell.tally, "freshness").quantile(0.99)


def _together(tally: Tally, what: str) -> Histogram:
    """All kinds in one histogram."""
    whole = Histogram()
    for (name, _), histogram in tally.timings.items():
        if name == what:
            whole.add(histogram.counts.items(), histogram.total_seconds)
    return whole


def _rates(window: Tally, seconds: float) -> Iterator[Rate]:
    totals: dict[tuple[str, str], int] = {}
    for key, count in window.counts.items():
        totals[key.stage, key.outcome] = totals.get((key.stage, key.outcome), 0) + count
    for (stage, outcome), count in sorted(totals.items()):
        yield Rate(stage, outcome, count / seconds)


def _timings(window: Tally, seconds: float) -> Iterator[Timing]:
    """For all kinds together, then for each."""
    for what in sorted({what for what, _ in window.timings}):
        kinds = {
            kind: histogram for (name, kind), histogram in sorted(window.timings.items()) if name == what
        }
        for kind, histogram in {"": _together(window, what), **kinds}.items():
            p50, p99 = histogram.quantile(0.5), histogram.quantile(0.99)
            if p50 is not None and p99 is not None:
                yield Timing(what, kind, histogram.count / seconds, p50, p99)
