"""Samples: every signal counts, what cannot be kept is kept later, and who has the engine has the overview."""

import asyncio
from datetime import datetime, timedelta

import pytest

from tests.telemetry.test_metrics import ONE_OF_EACH
from tidegate.core.runs import Step, StepName
from tidegate.core.samples import Process, Sample
from tidegate.core.signals import AttemptEnded, DependencyPaused, EventAccepted, RunSettled
from tidegate.engines.memory import MemoryEngine
from tidegate.telemetry import Durations, Fanout, OverviewReader, SampleKeeper, SampleRoll, Turns
from tidegate.testing.clock import START, FakeClock


def keeper_of(engine: MemoryEngine, clock: FakeClock, name: str = "one") -> tuple[SampleKeeper, Fanout]:
    """The keeper of a process's samples, and whom to tell what happens there."""
    durations = Durations()
    roll = SampleRoll(durations)
    process = Process(name, "worker", "machine", 7, START)
    return SampleKeeper(engine, clock, process, roll, lambda: 3), Fanout(Turns(durations, roll), roll)


def settled(outcome: str, detail: str = "", run_id: int = 1, event_count: int = 1) -> RunSettled:
    return RunSettled(run_id, "e", "P", "issue", outcome, detail, 0.1, step="fetch", event_count=event_count)


def test_every_signal_has_a_part_in_the_sample() -> None:
    for signal in ONE_OF_EACH:
        durations = Durations()
        roll = SampleRoll(durations)
        Fanout(Turns(durations, roll), roll).emit(signal)
        tally = roll.take()
        assert tally.counts or tally.timings or tally.errors or roll.paused, signal


def test_a_turn_of_duplicates_has_no_durations() -> None:
    durations = Durations()
    roll = SampleRoll(durations)
    Fanout(Turns(durations, roll)).emit(EventAccepted("/webhook", "e", 100, 0.001, duplicate=True))
    tally = roll.take()
    assert tally.counts
    assert not tally.timings


def test_the_overview_tells_what_happened() -> None:
    async def check() -> None:
        clock = FakeClock()
        engine = MemoryEngine(clock)
        keeper, telemetry = keeper_of(engine, clock)
        for signal in ONE_OF_EACH:
            telemetry.emit(signal)
        telemetry.emit(settled("completed", event_count=4))
        telemetry.emit(settled("retry", "gave up after 3 attempts: it answered 502", run_id=8))
        clock.advance(10)
        await keeper.keep_one()
        overview = await OverviewReader(engine, clock).read()
        assert overview.window_seconds == 10
        rates = {(rate.stage, rate.outcome): rate.per_second * 10 for rate in overview.rates}
        assert rates == pytest.approx(
            {
                ("received", "accepted"): 1,
                ("received", "duplicate"): 1,
                ("received", "too-large"): 1,
                ("routed", "routed"): 1,
                ("asked", ""): 1,
                ("coalesced", ""): 6,
                ("settled", "completed"): 2,
                ("settled", "retry"): 1,
                ("settled", "stale"): 1,
                ("warned", ""): 1,
                ("written", "upsert"): 1,
            }
        )
        assert {timing.what for timing in overview.timings} == {
            "commit",
            "load",
            "fetch",
            "routing",
            "target",
        }
        assert {(line.stage, line.cause, line.example) for line in overview.errors} == {
            ("received", "413 too-large", "/webhook"),
            ("routed", "KeyError", "e"),
            ("routing", "OSError", ""),
            ("fetch", "it answered 502", "8"),
        }
        assert [(pause.name, pause.reason) for pause in overview.paused] == [("target", "503")]
        assert overview.in_flight == 3

    asyncio.run(check())


def test_what_cannot_be_kept_now_is_kept_with_the_next_sample() -> None:
    async def check() -> None:
        clock = FakeClock()
        engine = MemoryEngine(clock)
        keeper, telemetry = keeper_of(engine, clock)
        telemetry.emit(AttemptEnded("issue", (Step(StepName.FETCH, 0.1),)))
        engine.outage = "the disk is full"
        clock.advance(5)
        await keeper.keep_one()
        telemetry.emit(AttemptEnded("issue", (Step(StepName.FETCH, 0.1),)))
        engine.outage = None
        clock.advance(5)
        await keeper.keep_one()
        [sample] = await engine.samples(START)
        [(what, kind, buckets, _)] = sample.timings
        assert (what, kind, sum(count for _, count in buckets), sample.seconds) == ("fetch", "issue", 2, 10)
        clock.advance(5)
        await keeper.keep_one()
        assert (await engine.samples(clock.now()))[0].timings == ()

    asyncio.run(check())


def test_a_pause_lasts_until_it_is_over() -> None:
    async def check() -> None:
        clock = FakeClock()
        engine = MemoryEngine(clock)
        keeper, telemetry = keeper_of(engine, clock)
        reader = OverviewReader(engine, clock)
        seen: list[list[str]] = []
        for signal in (DependencyPaused("a", True, "502"), None, DependencyPaused("a", False, "")):
            if signal is not None:
                telemetry.emit(signal)
            clock.advance(5)
            await keeper.keep_one()
            seen.append([pause.name for pause in (await reader.read()).paused])
        assert seen == [["a"], ["a"], []]

    asyncio.run(check())


def test_the_engine_is_read_once_a_second_and_only_what_is_new() -> None:
    async def check() -> None:
        clock = FakeClock()

        asked: list[timedelta] = []

        class Counting(MemoryEngine):
            async def samples(self, since: datetime) -> list[Sample]:
                asked.append(clock.now() - since)
                return await super().samples(since)

        engine = Counting(clock)
        keeper, _ = keeper_of(engine, clock)
        reader = OverviewReader(engine, clock)
        await keeper.keep_one()
        clock.advance(5)
        first, again = await asyncio.gather(reader.read(), reader.read())
        assert first is again
        clock.advance(1)
        assert await reader.read() is not first
        assert asked == [timedelta(hours=1), timedelta(seconds=21)]

    asyncio.run(check())


def test_two_processes_and_a_reader_elsewhere() -> None:
    async def check() -> None:
        clock = FakeClock()
        engine = MemoryEngine(clock)
        (one, tell_one), (two, tell_two) = (keeper_of(engine, clock, name) for name in ("one", "two"))
        for telemetry in (tell_one, tell_two):
            telemetry.emit(settled("completed"))
        clock.advance(5)
        await one.keep_one()
        await two.keep_one(leaving=True)
        overview = await OverviewReader(engine, clock).read()
        assert overview.rate("settled", "completed") == pytest.approx(2 / 5)
        assert {state.id: state.state for state in overview.processes} == {"one": "alive", "two": "left"}

    asyncio.run(check())
