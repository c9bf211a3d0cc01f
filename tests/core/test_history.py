"""Overviews from samples: rates, quantiles, errors and series of several processes, in bounded memory."""

from datetime import datetime, timedelta

import pytest

from tidegate.core.history import SPAN, STEP_SECONDS, History
from tidegate.core.inspection import Backlog
from tidegate.core.runs import StepName
from tidegate.core.samples import Process, Sample, Stage
from tidegate.core.tallies import MAX_CAUSES, OTHER_CAUSES, CountKey, ErrorKey, Tally
from tidegate.testing.clock import START

SECONDS = 5.0


def process(name: str) -> Process:
    return Process(name, "worker", "machine", 1, START)


def sample(
    at: datetime,
    name: str = "one",
    received: int = 0,
    freshness: tuple[float, ...] = (),
    errors: tuple[tuple[ErrorKey, str], ...] = (),
    **more: object,
) -> Sample:
    tally = Tally()
    if received:
        tally.count(CountKey(Stage.RECEIVED, "accepted", "/webhook"), received)
    for seconds in freshness:
        tally.time("freshness", "issue", seconds)
    for key, example in errors:
        tally.fail(key, example)
    fields = {"paused": {}, "in_flight": 0, "backlog": None, "leaving": False} | more
    return tally.sample(process(name), at, SECONDS, **fields)  # type: ignore[arg-type]


def every_five_seconds(name: str, until: datetime, seconds: float, received: int) -> list[Sample]:
    count = int(seconds / SECONDS)
    return [sample(until - timedelta(seconds=SECONDS * k), name, received) for k in reversed(range(count))]


def test_rates_add_up_over_processes() -> None:
    history, now = History(), START + timedelta(hours=3)
    history.add(every_five_seconds("one", now, 600, received=50))
    history.add(every_five_seconds("two", now, 600, received=100))
    overview = history.overview(Backlog(), now)
    assert overview.window_seconds == 60
    assert overview.rate(Stage.RECEIVED) == overview.rate(Stage.RECEIVED, "accepted") == pytest.approx(30)
    assert overview.rate(Stage.RECEIVED, "duplicate") == overview.rate(Stage.WRITTEN) == 0
    assert [state.id for state in overview.processes if state.state == "alive"] == ["one", "two"]


def test_a_young_service_is_not_measured_over_a_whole_minute() -> None:
    history, now = History(), START + timedelta(seconds=10)
    history.add(every_five_seconds("one", now, 10, received=50))
    overview = history.overview(Backlog(), now)
    assert overview.window_seconds == 10
    assert overview.rate(Stage.RECEIVED) == pytest.approx(10)


def test_the_same_samples_count_once() -> None:
    history, now = History(), START + timedelta(hours=1)
    samples = every_five_seconds("one", now, 600, received=50)
    history.add(samples)
    history.add(samples[-3:])
    assert history.overview(Backlog(), now).rate(Stage.RECEIVED) == pytest.approx(10)


def test_freshness_is_told_by_kind() -> None:
    history, now = History(), START + timedelta(hours=1)
    history.add([sample(now, freshness=(0.1,) * 99 + (8.0,))])
    whole, issue = history.overview(Backlog(), now).freshness
    assert (whole.kind, issue.kind, issue.what) == ("", "issue", "freshness")
    assert issue.p50_seconds == pytest.approx(0.1, rel=0.2)
    assert issue.p99_seconds < 1
    history.add([sample(now + timedelta(seconds=1), freshness=(8.0,))])
    _, issue = history.overview(Backlog(), now + timedelta(seconds=1)).freshness
    assert issue.p99_seconds == pytest.approx(8, rel=0.2)


def test_errors_are_told_by_cause_for_an_hour() -> None:
    history, now = History(), START + timedelta(hours=2)
    outage, bug = (
        ErrorKey("fetch", "it answered 502", "P", "issue"),
        ErrorKey("map", "KeyError", "P", "issue"),
    )
    history.add([sample(now - SPAN - timedelta(minutes=1), errors=((bug, "0"),))])
    history.add([sample(now - timedelta(minutes=30), errors=((outage, "1"), (outage, "2"), (bug, "3")))])
    history.add([sample(now - timedelta(seconds=1), errors=((outage, "4"),))])
    first, second = history.overview(Backlog(), now).errors
    assert (first.cause, first.count, first.recent, first.example) == ("it answered 502", 3, 1, "4")
    assert first.last_at == now - timedelta(seconds=1)
    assert (second.cause, second.count, second.recent, second.stage) == ("KeyError", 1, 0, "map")


def test_causes_beyond_the_bound_count_as_one() -> None:
    tally = Tally()
    for number in range(1000):
        tally.fail(ErrorKey("fetch", f"cause {number}"), str(number))
    assert len(tally.errors) <= MAX_CAUSES + 1
    assert tally.errors[ErrorKey("fetch", OTHER_CAUSES)] == (1000 - MAX_CAUSES, "999")


def test_the_series_are_an_hour_of_finished_steps() -> None:
    history, now = History(), START + timedelta(hours=3)
    history.add(every_five_seconds("one", now, 2 * 3600, received=50))
    history.add([sample(now + timedelta(seconds=1), "two", freshness=(1.0,), backlog=Backlog(ready_runs=7))])
    series = history.overview(Backlog(), now + timedelta(seconds=STEP_SECONDS)).series
    assert len(series.received) * series.step_seconds == SPAN.total_seconds()
    assert series.began_at == now + timedelta(seconds=STEP_SECONDS) - SPAN
    assert series.received[:-1] == (10.0,) * (len(series.received) - 1)
    assert (series.unfinished[-1], series.unfinished[-2]) == (7, None)
    assert series.freshness_p99_seconds[-1] == pytest.approx(1, rel=0.2)
    assert series.freshness_p99_seconds[-2] is None


def test_memory_does_not_grow_with_time() -> None:
    history = History()
    for hour in range(5):
        history.add(every_five_seconds("one", START + timedelta(hours=hour), 3600, received=1))
    assert len(history._cells) <= SPAN.total_seconds() / STEP_SECONDS + 2
    assert len(history._recent) <= 24


def test_processes_are_alive_silent_or_left() -> None:
    history, now = History(), START + timedelta(hours=1)
    history.add([sample(now - timedelta(minutes=11), "forgotten")])
    history.add([sample(now - timedelta(seconds=30), "silent", in_flight=9, paused={"target": "502"})])
    history.add([sample(now - timedelta(seconds=2), "left", leaving=True)])
    history.add([sample(now, "alive", in_flight=2, paused={"api.example": "429"})])
    overview = history.overview(Backlog(), now)
    assert {state.id: state.state for state in overview.processes} == {
        "silent": "silent",
        "left": "left",
        "alive": "alive",
    }
    assert overview.in_flight == 2
    assert [(pause.name, pause.reason, pause.processes) for pause in overview.paused] == [
        ("api.example", "429", ("alive",))
    ]
    later = history.overview(Backlog(), now + timedelta(minutes=2))
    assert {state.id: state.state for state in later.processes} == {"silent": "silent", "alive": "silent"}


def test_nothing_known_is_an_empty_overview() -> None:
    overview = History().overview(Backlog(dead_runs=1), START)
    assert (overview.rates, overview.timings, overview.errors, overview.processes) == ((), (), (), ())
    assert overview.backlog.dead_runs == 1


def test_timings_are_told_by_step_and_kind() -> None:
    tally = Tally()
    tally.time(StepName.FETCH, "issue", 0.1)
    tally.time(StepName.FETCH, "pull", 0.4)
    taken = tally.sample(process("one"), START, SECONDS, paused={}, in_flight=0, backlog=None, leaving=False)
    history = History()
    history.add([taken])
    timings = {timing.kind: timing for timing in history.overview(Backlog(), START).timings}
    assert set(timings) == {"", "issue", "pull"}
    assert timings[""].p99_seconds > timings["issue"].p99_seconds
