"""The worker process: started only when needed, replaced when it dies, gone when nobody needs it."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tidegate.core.errors import MapperUnavailableError
from tidegate.core.resources import ResourceConfig
from tidegate.mapping import JqMapper, MapperLimits, parse_mapping
from tidegate.mapping.lane import CompileError, Lane, Program, Programs
from tidegate.mapping.process import JqProcess, StoppedError

ECHO = "[.] | tojson"


def config_of(expression: str) -> ResourceConfig:
    mappings = {"identifier": ".id", "blueprint": '"thing"', "properties": {"p": expression}}
    resource = {"kind": "thing", "selector": {"query": "true"}, "port": {"entity": {"mappings": mappings}}}
    return parse_mapping({"resources": [resource]}).configs[0]


def with_lane(
    use: Callable[[Lane], Awaitable[Any]], limits: MapperLimits | None = None, workers: int = 1
) -> Any:
    async def run() -> Any:
        lane = Lane(limits or MapperLimits(), workers)
        try:
            return await use(lane)
        finally:
            await lane.close()

    return asyncio.run(run())


async def properties(mapper: JqMapper, config: ResourceConfig, identifier: str) -> Any:
    return (await mapper.map(config, [{"id": identifier}])).passed[0].properties


def children() -> set[int]:
    """The process ids of this process's children."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return set(map(int, listed.split()))


def test_a_mapping_of_paths_and_constants_needs_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")

    async def run() -> Any:
        config = config_of(".id")
        mapper = JqMapper([config])
        mapped = await properties(mapper, config, "a")
        await mapper.close()
        return mapped

    assert asyncio.run(run()) == {"p": "a"}


@pytest.mark.parametrize("executable", ["/nonexistent/python", "", "/bin/true"])
def test_a_process_that_cannot_be_started_makes_the_mapper_unavailable(
    monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    async def run() -> None:
        config = config_of(".id | @text | ascii_downcase")
        mapper = JqMapper([config])
        try:
            monkeypatch.setattr(sys, "executable", executable)
            with pytest.raises(MapperUnavailableError, match="cannot be started"):
                await properties(mapper, config, "A")
            monkeypatch.undo()
            assert await properties(mapper, config, "A") == {"p": "a"}  # once it can be, all is well
        finally:
            await mapper.close()

    asyncio.run(run())


def test_a_process_that_does_not_get_ready_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexec cat")
    silent.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(silent))
    before = children()
    with pytest.raises(MapperUnavailableError, match="not ready in time"):
        asyncio.run(JqProcess.start(MapperLimits(start_timeout_seconds=0.1)))
    assert children() == before


def test_a_process_that_was_killed_is_replaced() -> None:
    async def run() -> list[Any]:
        before = children()
        config = config_of(".id | @text | ascii_downcase")
        mapper = JqMapper([config])
        try:
            values = [await properties(mapper, config, "A")]
            for process in children() - before:
                os.kill(process, signal.SIGKILL)
            return [*values, await properties(mapper, config, "B"), await properties(mapper, config, "C")]
        finally:
            await mapper.close()
            assert children() == before

    assert asyncio.run(run()) == [{"p": "a"}, {"p": "b"}, {"p": "c"}]


def test_signals_to_the_group_do_not_reach_it() -> None:
    async def run() -> Any:
        before = children()
        config = config_of(".id | @text | ascii_downcase")
        mapper = JqMapper([config])
        try:
            await properties(mapper, config, "A")
            (process,) = children() - before
            os.kill(process, signal.SIGTERM)
            os.kill(process, signal.SIGINT)
            mapped = await properties(mapper, config, "B")
            return mapped, children() - before == {process}
        finally:
            await mapper.close()

    assert asyncio.run(run()) == ({"p": "b"}, True)


def test_what_is_cancelled_disturbs_nobody() -> None:
    async def run() -> Any:
        config = config_of(".id | @text | ascii_downcase")
        mapper = JqMapper([config])
        try:
            calls = [asyncio.create_task(properties(mapper, config, f"I{number}")) for number in range(20)]
            await asyncio.sleep(0)
            for call in calls[::2]:
                call.cancel()
            return await asyncio.gather(*calls[1::2])
        finally:
            await mapper.close()

    assert asyncio.run(run()) == [{"p": f"i{number}"} for number in range(1, 20, 2)]


def test_a_closed_mapper_says_so_to_who_waits_and_to_who_comes() -> None:
    async def run() -> None:
        config = config_of("last(repeat(1))")
        mapper = JqMapper([config])
        waiting = asyncio.create_task(properties(mapper, config, "a"))
        await asyncio.sleep(0)
        await mapper.close()
        with pytest.raises(MapperUnavailableError, match=r"stopped|closed"):
            await waiting
        with pytest.raises(MapperUnavailableError, match="closed"):
            await properties(mapper, config, "a")

    before = children()
    asyncio.run(run())
    assert children() == before


def test_it_works_in_uvloop() -> None:
    async def run() -> list[Any]:
        config = config_of('if .id == "x" then last(repeat(1)) else .id | @text | ascii_downcase end')
        mapper = JqMapper([config], MapperLimits(item_timeout_seconds=0.3))
        try:
            return [await properties(mapper, config, each) for each in ("A", "x", "B")]
        finally:
            await mapper.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(run()) == [{"p": "a"}, {"p": None}, {"p": "b"}]


def test_what_waits_shares_frames_and_comes_back_to_its_own() -> None:
    programs = Programs()
    echo = programs.new(ECHO)
    double = programs.new(".n * 2 | [.] | tojson")

    async def use(lane: Lane) -> None:
        calls = [lane.evaluate(echo if n % 2 else double, [b'{"n": %d}' % n] * (n % 3)) for n in range(300)]
        for n, evaluation in enumerate(await asyncio.gather(*calls)):
            expected = [{"n": n}] if n % 2 else [2 * n]
            assert evaluation.outputs == [[expected]] * (n % 3)

    with_lane(use)
    with_lane(use, workers=3)


@pytest.mark.parametrize("size", [0, 1, 1 << 16, 5 << 20])
def test_documents_of_any_size_go_through(size: int) -> None:
    async def use(lane: Lane) -> None:
        text = b'"' + b"x" * size + b'"'
        evaluation = await lane.evaluate(Programs().new("length | [.] | tojson"), [text, b"null"])
        assert evaluation.outputs == [[[size]], [[0]]]

    with_lane(use)


def test_whoever_stops_the_process_is_told_and_the_others_are_served() -> None:
    programs = Programs()
    echo, loop = programs.new(ECHO), programs.new("if . == 3 then last(repeat(1)) else [.] | tojson end")

    async def use(lane: Lane) -> None:
        *others, stopped = await asyncio.gather(
            *(lane.evaluate(echo, [b"%d" % n]) for n in range(10)),
            lane.evaluate(loop, [b"1", b"2", b"3", b"4"]),
            return_exceptions=True,
        )
        assert [evaluation.outputs for evaluation in others] == [[[[n]]] for n in range(10)]
        assert isinstance(stopped, StoppedError)
        assert (str(stopped), stopped.document) == ("took more than 0.3 s", 2)

    with_lane(use, MapperLimits(item_timeout_seconds=0.3))


def test_the_limit_is_for_each_document_not_for_the_frame() -> None:
    """A frame of documents that take half the limit each takes several limits, and passes."""
    programs = Programs()
    spin = programs.new("(now + 0.2) as $end | until(now > $end; .) | [.] | tojson")

    async def use(lane: Lane) -> None:
        evaluation = await lane.evaluate(spin, [b"1", b"2", b"3", b"4"])
        assert evaluation.outputs == [[[1]], [[2]], [[3]], [[4]]]
        assert evaluation.duration_seconds > 0.6

    with_lane(use, MapperLimits(item_timeout_seconds=0.6))


def test_programs_that_do_not_compile_say_why() -> None:
    async def use(lane: Lane) -> None:
        bad, good = Program(7, ".a |"), Program(8, ECHO)
        for _ in range(2):
            outcomes = await asyncio.gather(
                *(lane.evaluate(each, [b"1"]) for each in (bad, good, bad, good)), return_exceptions=True
            )
            assert [type(outcome) is CompileError for outcome in outcomes] == [True, False, True, False]
        assert (await lane.evaluate(Program(0, "."), ())).outputs == []

    with_lane(use)


def test_the_start_tells_what_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tidegate.mapping.process._jq_directory", lambda: str(tmp_path))
    with pytest.raises(MapperUnavailableError, match="No module named 'jq'"):
        asyncio.run(JqProcess.start(MapperLimits()))


SCRIPT = """
import asyncio, os, pathlib, sys
from tidegate.mapping import JqMapper, MapperLimits, parse_mapping

print("main", flush=True)
mappings = {"identifier": ".id", "blueprint": '"b"', "title": sys.argv[1]}
resource = {"kind": "k", "selector": {"query": "true"}, "port": {"entity": {"mappings": mappings}}}
(config,) = parse_mapping({"resources": [resource]}).configs

async def run():
    mapper = JqMapper([config], MapperLimits(item_timeout_seconds=0.5))
    await mapper.map(config, [{"id": "warm"}])
    print(pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text(), flush=True)
    await mapper.map(config, [{"id": "x"}])
    sys.stdin.read()
    await mapper.close()

asyncio.run(run())
"""


def run_script(expression: str, tmp_path: Path) -> subprocess.Popen[str]:
    script = tmp_path / "main.py"
    script.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, str(script), expression], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_the_users_main_module_is_not_imported_again(tmp_path: Path) -> None:
    with run_script(".id | @text | ascii_downcase", tmp_path) as process:
        output, _ = process.communicate()
    assert output.count("main") == 1
    assert process.returncode == 0


@pytest.mark.parametrize(
    "expression", [".id | @text | . + .", 'if .id == "x" then last(repeat(1)) else .id end']
)
def test_it_does_not_outlive_a_killed_parent(tmp_path: Path, expression: str) -> None:
    """Idle, it sees the end of its input; in an endless expression, its own alarm ends it."""
    with run_script(expression, tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (worker,) = map(int, process.stdout.readline().split())
        pidfd = os.pidfd_open(worker)
        process.kill()
    try:
        gone, _, _ = select.select([pidfd], [], [], 30)
        assert gone
    finally:
        os.close(pidfd)
