"""The circuit breaker: when it opens, who may probe, when it closes."""

from tidegate.core.breaker import CircuitBreaker


def opened(now: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker()
    for _ in range(breaker.threshold):
        assert breaker.admit(now)
        breaker.failed(now, "503")
    return breaker


def test_it_opens_after_several_failures_in_a_row() -> None:
    breaker = CircuitBreaker()
    for _ in range(2):
        breaker.failed(0, "503")
    breaker.succeeded()
    for _ in range(2):
        breaker.failed(0, "503")
    assert breaker.admit(0)
    breaker.failed(0, "503")
    assert not breaker.admit(0.9)
    assert breaker.is_open
    assert breaker.reason == "503"


def test_one_probe_at_a_time_and_longer_pauses() -> None:
    breaker, now = opened(), 0.0
    for pause in (1, 2, 4, 8, 10, 10):
        assert breaker.wait_seconds(now) == pause
        now += pause
        assert breaker.admit(now)
        assert not breaker.admit(now)
        breaker.failed(now, "still out")
    now += 10
    assert breaker.admit(now)
    breaker.succeeded()
    assert breaker.admit(now)
    assert not breaker.is_open


def test_a_probe_that_was_cancelled_lets_another_try() -> None:
    breaker = opened()
    assert breaker.admit(1)
    breaker.abandoned()
    assert breaker.admit(1)


def test_retry_after_opens_at_once_and_is_kept_to() -> None:
    breaker = CircuitBreaker()
    breaker.failed(0, "429", retry_after_seconds=30)
    assert not breaker.admit(29.9)
    assert breaker.admit(30)


def test_a_rest_is_no_failure() -> None:
    breaker = CircuitBreaker()
    breaker.rest(0, 5, "the quota is used up")
    assert not breaker.admit(4.9)
    assert breaker.admit(5)
    breaker.failed(5, "503")
    assert breaker.wait_seconds(5) == 1  # the first pause: nothing had failed before
