"""Log lines: nothing at INFO for what goes well, and a flood of like failures stays short."""

import logging

import pytest

from tests.telemetry.test_metrics import ONE_OF_EACH
from tidegate.core.signals import EventRefused, ProcessorFailed, RunSettled, Signal
from tidegate.telemetry import Fanout, LogLines
from tidegate.telemetry.damping import MAX_KEYS, Damper
from tidegate.testing.clock import FakeClock


def settled(outcome: str, detail: str = "") -> RunSettled:
    return RunSettled(1, "e", "P", "issue", outcome, detail, 0.1)


def lines(caplog: pytest.LogCaptureFixture, *signals: Signal, level: int = logging.INFO) -> list[str]:
    caplog.set_level(level, logger="tidegate")
    log = Fanout(LogLines())
    for signal in signals:
        log.emit(signal)
    return [f"{record.levelname} {record.getMessage()}" for record in caplog.records]


def test_what_goes_well_has_no_line_at_info(caplog: pytest.LogCaptureFixture) -> None:
    written = lines(caplog, *ONE_OF_EACH, settled("completed"), settled("ignored"))
    assert written == [
        "INFO refused a request to /webhook with 413: too-large",
        "WARNING event e: P failed: KeyError",
        "WARNING run 1 (issue, event e): its lease was lost, completed is dropped",
        "WARNING target is paused: 503",
        "ERROR routing failed and is started again: OSError",
    ]


def test_at_debug_an_event_can_be_followed(caplog: pytest.LogCaptureFixture) -> None:
    written = lines(caplog, *ONE_OF_EACH, level=logging.DEBUG)
    assert "DEBUG event e: upsert bp/id" in written
    assert "DEBUG event e: 1 runs" in written
    assert "DEBUG run 1 (issue): mapping: odd" in written


@pytest.mark.parametrize(
    "signals",
    [
        [EventRefused("/webhook", 401, "unauthorized") for _ in range(100)],
        [settled("retry", f"https://api.example/{number} answered 502") for number in range(100)],
        [settled("dead", f"KeyError: '{number}'") for number in range(100)],
        [ProcessorFailed("e", "P", f"KeyError: '{number}'") for number in range(100)],
    ],
)
def test_a_flood_of_like_failures_stays_short(
    caplog: pytest.LogCaptureFixture, signals: list[Signal]
) -> None:
    assert len(lines(caplog, *signals)) == 5


def test_failures_of_other_causes_have_their_own_lines(caplog: pytest.LogCaptureFixture) -> None:
    outage = [settled("retry", "it answered 502")] * 10
    assert (
        len(lines(caplog, *outage, settled("retry", "it answered 503"), settled("dead", "it answered 502")))
        == 7
    )


def test_the_next_line_says_how_many_were_held_back() -> None:
    clock = FakeClock()
    damper = Damper(burst=2, period_seconds=60, monotonic=clock.monotonic)
    assert [damper.admit("a") for _ in range(5)] == [0, 0, None, None, None]
    assert damper.admit("b") == 0
    clock.advance(60)
    assert [damper.admit("a"), damper.admit("a")] == [3, 0]


def test_memory_is_bounded() -> None:
    damper = Damper()
    for number in range(MAX_KEYS * 3):
        damper.admit(number)
    assert len(damper._windows) <= MAX_KEYS
