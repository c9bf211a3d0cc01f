"""Quantiles from buckets are near the truth, and adding histograms up loses nothing."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.histograms import LAST_BUCKET, SMALLEST_SECONDS, Histogram, bucket_of, upper_bound

durations = st.floats(min_value=0, max_value=1e6, allow_nan=False)


@given(durations)
def test_a_duration_is_within_its_buckets_bounds(seconds: float) -> None:
    bucket = bucket_of(seconds)
    assert 0 <= bucket <= LAST_BUCKET
    assert bucket == LAST_BUCKET or seconds <= upper_bound(bucket) * (1 + 1e-9)
    assert bucket == 0 or seconds > upper_bound(bucket - 1) * (1 - 1e-9)


@given(st.lists(durations, min_size=1), st.lists(durations))
def test_histograms_add_up(first: list[float], second: list[float]) -> None:
    whole, part, other = Histogram(), Histogram(), Histogram()
    for seconds in (*first, *second):
        whole.observe(seconds)
    part.observe(*sorted(first))
    other.observe(*sorted(second))
    part.add(other.counts.items(), other.total_seconds)
    assert part.counts == whole.counts
    assert part.count == len(first) + len(second)
    assert part.total_seconds == pytest.approx(whole.total_seconds)


def test_quantiles_are_near_the_truth() -> None:
    rng = random.Random(1)
    seconds = sorted(rng.lognormvariate(-3, 1.5) for _ in range(10_000))
    histogram = Histogram()
    for each in seconds:
        histogram.observe(each)
    for share in (0.5, 0.9, 0.99):
        assert histogram.quantile(share) == pytest.approx(seconds[int(share * 10_000) - 1], rel=0.05)


def test_one_duration_is_every_quantile() -> None:
    histogram = Histogram()
    assert histogram.quantile(0.5) is None
    histogram.observe(0.25)
    for share in (0.01, 0.5, 0.99):
        assert histogram.quantile(share) == pytest.approx(0.25, rel=0.2)
    tiny = Histogram()
    tiny.observe(0)
    assert tiny.quantile(0.99) == pytest.approx(SMALLEST_SECONDS, rel=0.2)
