"""Adding up: what a process counts between two samples, and what a reader makes of many samples."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from tidegate.core.histograms import Histogram
from tidegate.core.inspection import Backlog
from tidegate.core.samples import Counted, Failed, Process, Sample, Stage, Timed

MAX_CAUSES = 40
OTHER_CAUSES = "other causes"


class CountKey(NamedTuple):
    """What is counted; dimensions that say nothing are empty."""

    stage: Stage | str
    outcome: str = ""
    path: str = ""
    processor: str = ""
    kind: str = ""


class ErrorKey(NamedTuple):
    """What failed where, and why."""

    stage: str
    cause: str
    processor: str = ""
    kind: str = ""


@dataclass(slots=True)
class Tally:
    """Counts, timings and errors. Bounded: causes beyond MAX_CAUSES count as one."""

    counts: dict[CountKey, int] = field(default_factory=dict[CountKey, int])
    timings: dict[tuple[str, str], Histogram] = field(default_factory=dict[tuple[str, str], Histogram])
    errors: dict[ErrorKey, tuple[int, str]] = field(default_factory=dict[ErrorKey, tuple[int, str]])

    def count(self, key: CountKey, by: int = 1) -> None:
        """Something came about."""
        self.counts[key] = self.counts.get(key, 0) + by

    def time(self, what: str, kind: str, *ascending: float) -> None:
        """Something took so long, once or several times."""
        self._histogram(what, kind).observe(*ascending)

    def _histogram(self, what: str, kind: str) -> Histogram:
        histogram = self.timings.get((what, kind))
        if histogram is None:
            histogram = self.timings[what, kind] = Histogram()
        return histogram

    def fail(self, key: ErrorKey, example: str, by: int = 1) -> None:
        """Something failed; `example` is the id of the event or run that it befell."""
        if key not in self.errors and len(self.errors) >= MAX_CAUSES:
            key = ErrorKey(key.stage, OTHER_CAUSES)
        known, _ = self.errors.get(key, (0, ""))
        self.errors[key] = (known + by, example)

    def add(self, sample: Sample) -> None:
        """Add a sample's."""
        for *key, count in sample.counts:
            self.count(CountKey(*key), count)
        for what, kind, buckets, total_seconds in sample.timings:
            self._histogram(what, kind).add(buckets, total_seconds)
        for stage, cause, processor, kind, count, example in sample.errors:
            self.fail(ErrorKey(stage, cause, processor, kind), example, count)

    def sample(
        self,
        process: Process,
        at: datetime,
        seconds: float,
        *,
        paused: Mapping[str, str],
        in_flight: int,
        backlog: Backlog | None,
        leaving: bool,
    ) -> Sample:
        """All of it as a sample."""
        return Sample(
            process=process,
            at=at,
            seconds=seconds,
            counts=tuple(Counted(*key, count) for key, count in self.counts.items()),
            timings=tuple(
                Timed(what, kind, tuple(histogram.counts.items()), histogram.total_seconds)
                for (what, kind), histogram in self.timings.items()
            ),
            errors=tuple(Failed(*key, count, example) for key, (count, example) in self.errors.items()),
            paused=dict(paused),
            in_flight=in_flight,
            backlog=backlog,
            leaving=leaving,
        )
