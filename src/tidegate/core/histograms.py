"""Durations in buckets that are the same everywhere, so that those of many processes can be added up.

A bucket's bounds are a quarter of an octave apart: a quantile is off by 9 % at most.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

SMALLEST_SECONDS = 0.0001
BUCKETS_PER_OCTAVE = 4
LAST_BUCKET = 120
"""Everything longer than 30 hours, too."""


def upper_bound(bucket: int) -> float:
    """The longest duration of a bucket."""
    return SMALLEST_SECONDS * 2 ** (bucket / BUCKETS_PER_OCTAVE)


_BOUNDS = [upper_bound(bucket) for bucket in range(LAST_BUCKET)]


def bucket_of(seconds: float) -> int:
    """The bucket of a duration; bucket 0 holds all up to SMALLEST_SECONDS."""
    return bisect_left(_BOUNDS, seconds)


@dataclass(slots=True)
class Histogram:
    """How many durations fell into each bucket, and their sum."""

    counts: dict[int, int] = field(default_factory=dict[int, int])
    total_seconds: float = 0.0

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    def observe(self, *ascending: float) -> None:
        """Count durations, the shortest first."""
        below = 0
        while below < len(ascending):
            bucket = bucket_of(ascending[below])
            end = len(ascending) if bucket == LAST_BUCKET else bisect_right(ascending, _BOUNDS[bucket], below)
            self.counts[bucket] = self.counts.get(bucket, 0) + end - below
            below = end
        self.total_seconds += sum(ascending)

    def add(self, counts: Iterable[tuple[int, int]], total_seconds: float) -> None:
        """Count what another histogram counted."""
        for bucket, count in counts:
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.total_seconds += total_seconds

    def quantile(self, share: float) -> float | None:
        """The duration that this share of all did not exceed; None if there are none."""
        wanted = share * self.count
        seen = 0
        for bucket in sorted(self.counts):
            here = self.counts[bucket]
            if seen + here >= wanted:
                inside = (wanted - seen) / here
                return upper_bound(bucket) * 2 ** ((inside - 1) / BUCKETS_PER_OCTAVE)
            seen += here
        return None
