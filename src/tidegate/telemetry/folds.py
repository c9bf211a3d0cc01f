"""Counts and durations on their way into metrics: folded where they come about, handed on together now and then.

A counter is a lock and, if it is shared, a write into a file; a histogram is two of them and a search. An event
has twenty of those; folding one costs a look-up.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from prometheus_client import Counter, Histogram

HANDED_ON_AFTER_SECONDS = 0.1
"""How old what other processes see of this one may be, and how much of it a kill may cost."""

CallLater = Callable[[float, Callable[[], None]], object]


class FoldedHistogram(Histogram):
    """A histogram that takes many observations at once."""

    def add(self, counts: Sequence[int], total_seconds: float) -> None:
        """Add so many observations to each bucket, which took so long in all."""
        for bucket, count in zip(self._buckets, counts, strict=True):  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType, reportUnknownVariableType]
            if count:
                bucket.inc(count)  # pyright: ignore[reportUnknownMemberType]
        self._sum.inc(total_seconds)  # pyright: ignore[reportUnknownMemberType]

    @property
    def bounds(self) -> list[float]:
        """The longest duration of each bucket."""
        return self._upper_bounds


@dataclass(eq=False, slots=True)
class _Fold:
    histogram: FoldedHistogram
    bounds: list[float]
    counts: list[int]
    total_seconds: float = 0.0


@dataclass(eq=False, slots=True)
class Folds:
    """What was counted and observed since it was handed on last.

    `call_later` is the event loop's, where others may look at the metrics at any time; without it, whoever looks
    asks to `hand_on` first.
    """

    call_later: CallLater | None = None
    _counts: dict[tuple[Counter, *tuple[str, ...]], int] = field(
        default_factory=dict[tuple[Counter, *tuple[str, ...]], int]
    )
    _durations: dict[tuple[FoldedHistogram, *tuple[str, ...]], _Fold] = field(
        default_factory=dict[tuple[FoldedHistogram, *tuple[str, ...]], _Fold]
    )
    _due: bool = False

    def count(self, counter: Counter, *labels: str, by: int = 1) -> None:
        """Count what came about."""
        key = (counter, *labels)
        self._counts[key] = self._counts.get(key, 0) + by
        if not self._due:
            self._expect()

    def observe(self, histogram: FoldedHistogram, seconds: float, *labels: str) -> None:
        """Count one duration."""
        fold = self._durations.get((histogram, *labels)) or self._begin(histogram, *labels)
        fold.counts[bisect_left(fold.bounds, seconds)] += 1
        fold.total_seconds += seconds
        if not self._due:
            self._expect()

    def hand_on(self) -> None:
        """Let the metrics have all of it."""
        self._due = False
        counts, self._counts = self._counts, {}
        for (counter, *labels), count in counts.items():
            (counter.labels(*labels) if labels else counter).inc(count)
        for fold in self._durations.values():
            if any(fold.counts):
                fold.histogram.add(fold.counts, fold.total_seconds)
                fold.counts, fold.total_seconds = [0] * len(fold.bounds), 0.0

    def _expect(self) -> None:
        self._due = True
        if self.call_later is not None:
            self.call_later(HANDED_ON_AFTER_SECONDS, self.hand_on)

    def _begin(self, histogram: FoldedHistogram, *labels: str) -> _Fold:
        child = histogram.labels(*labels) if labels else histogram
        fold = _Fold(child, child.bounds, [0] * len(child.bounds))
        self._durations[histogram, *labels] = fold
        return fold
