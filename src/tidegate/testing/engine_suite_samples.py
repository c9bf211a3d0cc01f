"""Cases of the engine suite: samples of what processes did."""
# ruff: noqa: S101 - a conformance suite speaks in assertions

from datetime import timedelta

from msgspec.structs import replace

from tidegate.core.inspection import Backlog
from tidegate.core.samples import SAMPLES_KEPT, Counted, Failed, Process, Sample, Stage, Timed
from tidegate.testing.engine_suite_session import Cases, Session

cases = Cases()


def _sample(it: Session, process: str = "one", seconds: float = 5.0) -> Sample:
    """A sample with all that one can hold, from a process whose clock is a minute late."""
    late = it.clock.now() - timedelta(minutes=1)
    return Sample(
        process=Process(process, "worker", "machine", 7, late),
        at=late,
        seconds=seconds,
        counts=(Counted(Stage.SETTLED, "completed", "", "P", "issue", 3),),
        timings=(Timed("fetch", "issue", ((12, 2), (14, 1)), 0.5),),
        errors=(Failed("fetch", "it answered 503", "P", "issue", 2, "17"),),
        paused={"target": "it answered 503"},
        in_flight=4,
        backlog=Backlog(ready_runs=2, oldest_seconds=1.5),
        leaving=True,
    )


@cases.add
async def samples_are_kept_whole_and_by_the_engines_time(it: Session) -> None:
    sample = _sample(it)
    await it.engine.keep_sample(sample)
    assert await it.engine.samples(it.clock.now()) == [replace(sample, at=it.clock.now())]


@cases.add
async def samples_are_found_by_their_time_oldest_first(it: Session) -> None:
    times = [it.clock.now()]
    await it.engine.keep_sample(_sample(it, "one"))
    await it.engine.keep_sample(_sample(it, "two"))
    it.clock.advance(5)
    times.append(it.clock.now())
    await it.engine.keep_sample(_sample(it, "one"))
    found = [await it.engine.samples(time) for time in times]
    assert [[sample.process.id for sample in samples] for samples in found] == [
        ["one", "two", "one"],
        ["one"],
    ]
    assert await it.engine.samples(times[-1] + timedelta(microseconds=1)) == []


@cases.add
async def samples_whose_time_is_over_are_forgotten(it: Session) -> None:
    start = it.clock.now()
    await it.engine.keep_sample(_sample(it, "old"))
    it.clock.advance(SAMPLES_KEPT.total_seconds())
    await it.engine.keep_sample(_sample(it, "middle"))
    assert [sample.process.id for sample in await it.engine.samples(start)] == ["old", "middle"]
    it.clock.advance(1)
    await it.engine.keep_sample(_sample(it, "new"))
    assert [sample.process.id for sample in await it.engine.samples(start)] == ["middle", "new"]
