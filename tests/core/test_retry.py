"""When to try again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.retry import JITTER_FRACTION, RetryPolicy, jittered, retry_delay_seconds

UNIT = st.floats(0, 1, exclude_max=True)
SECONDS = st.floats(0, 1e6)


def test_delays_double_up_to_the_limit() -> None:
    policy = RetryPolicy(initial_delay_seconds=1, max_delay_seconds=10, exponential_base=2)
    assert [policy.nominal_delay_seconds(failures) for failures in range(7)] == [1, 1, 2, 4, 8, 10, 10]


def test_delays_of_very_many_failures_do_not_overflow() -> None:
    assert RetryPolicy(max_delay_seconds=30).nominal_delay_seconds(100_000) == 30


@given(SECONDS, UNIT)
def test_jitter_stays_within_its_bounds(delay: float, draw: float) -> None:
    spread = jittered(delay, lambda: draw)
    assert delay * (1 - JITTER_FRACTION) <= spread <= delay * (1 + JITTER_FRACTION)


@given(SECONDS, SECONDS, UNIT)
def test_nobody_comes_earlier_than_the_third_party_asks(nominal: float, asked: float, draw: float) -> None:
    delay = retry_delay_seconds(nominal, asked, lambda: draw)
    assert delay >= asked
    assert delay >= jittered(nominal, lambda: draw)


def test_without_retry_after_the_back_off_decides() -> None:
    assert retry_delay_seconds(10, None, lambda: 0.5) == pytest.approx(10)
