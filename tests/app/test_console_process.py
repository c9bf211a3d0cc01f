"""`tidegate console` beside a service, and the console's address where its extra is not installed."""

import asyncio
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import aiohttp
import pytest
from starlette.applications import Starlette

from tests.app.service_process import Service, environment, tidegate, write_integration
from tidegate.app import console
from tidegate.app.previews import open_dry_runs
from tidegate.engines.memory import MemoryEngine
from tidegate.ingress import HttpServer, asgi
from tidegate.mapping import MapperLimits
from tidegate.telemetry import OverviewReader
from tidegate.testing.clock import FakeClock


def test_a_console_by_itself_shows_the_engine_of_others(tmp_path: Path) -> None:
    with Service(write_integration(tmp_path)) as service:
        assert service.post({"id": 7, "title": "Seven", "state": "open"}) == 202
        service.settle()
        command = [sys.executable, "-m", "tidegate", "console", "--port", "0"]
        command += ["--engine-url", f"sqlite:///{tmp_path}/.tidegate/tidegate.db"]
        alone = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
        assert alone.stderr is not None
        address = re.search(r"(http://\S+)/console", alone.stderr.readline())
        assert address is not None
        for path, said in (
            ("/console", "The last hour"),
            ("/console/events", "applied"),
            ("/console/entities/issue/7", "Seven"),
            ("/console/playground", "identifier: .id"),
        ):
            with urlopen(address[1] + path) as answer:
                page = answer.read().decode()
            assert said in page
        alone.send_signal(signal.SIGTERM)
        assert alone.wait(30) == 0
        alone.stderr.close()


def test_a_console_without_an_engine_says_so(tmp_path: Path) -> None:
    ended = tidegate("console", "--engine-url", "sqlite:///nowhere.db", cwd=tmp_path)
    assert ended.returncode == 2
    assert b"there is no engine at nowhere.db" in ended.stderr


def test_without_the_extra_the_address_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(console, "find_spec", lambda name: None)
    clock = FakeClock()
    engine = MemoryEngine(clock)

    async def replay(event_id: str) -> str:
        return event_id

    routes = console.console_pages(
        engine,
        clock,
        "tests",
        overview=OverviewReader(engine, clock).read,
        paused=dict,
        reasons=list,
        replay=replay,
        dry_runs=open_dry_runs(engine, MapperLimits(), None, clock),
        mapping_file=tmp_path / "none.yml",
        target=None,
        signs_out=False,
    )

    async def answered() -> tuple[int, str]:
        server = HttpServer(asgi(Starlette(routes=routes)), "127.0.0.1", 0)
        address = await server.start()
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{address}/console/events") as answer,
        ):
            found = answer.status, await answer.text()
        await server.stop()
        return found

    assert asyncio.run(answered()) == (501, console.HOW_TO)
