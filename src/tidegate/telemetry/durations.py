"""Durations on their way into histograms: folded where they come about, handed on together now and then.

`observe` of a histogram goes through its buckets and a lock, ten times for each event; folding costs a look-up.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from prometheus_client import Histogram

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
class Durations:
    """What was observed since it was handed on last.

    `call_later` is the event loop's, where others may look at the histograms at any time; without it, whoever looks
    asks to `hand_on` first.
    """

    call_later: CallLater | None = None
    _folds: dict[tuple[object, ...], _Fold] = field(default_factory=dict[tuple[object, ...], _Fold])
    _due: bool = False

    def observe(self, histogram: FoldedHistogram, seconds: float, *labels: str) -> None:
        """Count one duration."""
        key = (histogram, *labels)
        fold = self._folds.get(key)
        if fold is None:
            fold = self._folds[key] = _begin(histogram.labels(*labels) if labels else histogram)
        fold.counts[bisect_left(fold.bounds, seconds)] += 1
        fold.total_seconds += seconds
        if not self._due and self.call_later is not None:
            self._due = True
            self.call_later(HANDED_ON_AFTER_SECONDS, self.hand_on)

    def hand_on(self) -> None:
        """Let the histograms have all of it."""
        self._due = False
        for fold in self._folds.values():
            if any(fold.counts):
                fold.histogram.add(fold.counts, fold.total_seconds)
                fold.counts, fold.total_seconds = [0] * len(fold.bounds), 0.0


def _begin(histogram: FoldedHistogram) -> _Fold:
    return _Fold(histogram, histogram.bounds, [0] * len(histogram.bounds))
