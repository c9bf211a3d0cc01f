"""The whole path with a real MLflow server: its webhooks in, a catalog equal to its registry out."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from demo.children import Child
from demo.mlflow_server import MLFLOW, MlflowServer, mlflow_server
from demo.redelivery import Redelivery, redelivery
from demo.scenario import Scenario
from demo.tidegate_server import TidegateSettings, start_tidegate, until_idle, until_ready
from demo.truth import catalog_snapshot, differences, registry_snapshot

pytestmark = [pytest.mark.mlflow, pytest.mark.slow, pytest.mark.xdist_group("mlflow")]

CONVERGE_SECONDS = 60.0
KILLS = 24
LONGEST_LIFE_SECONDS = 1.5
PAUSE_SECONDS = 0.03


@dataclass
class Registry:
    """A real MLflow server, a sender that retries in front of Tidegate, and where both find each other."""

    mlflow: MlflowServer
    sender: Redelivery
    settings: TidegateSettings
    session: aiohttp.ClientSession
    scenario: Scenario
    announced: int = 0

    async def change(self) -> None:
        change = self.scenario.next()
        answer = await self.mlflow.call(change.call, change.arguments)
        self.scenario.record(change, answer.version)
        self.announced += change.announced

    async def change_until(self, stop: asyncio.Event) -> int:
        """Change something again and again; answers how often. The last change is one with a webhook."""
        changes = 0
        while not stop.is_set() or not self.scenario.may_end:
            await self.change()
            changes += 1
            await asyncio.sleep(PAUSE_SECONDS)
        return changes

    async def assert_catalog_follows(self) -> None:
        """Once all deliveries are taken and all work is done, the catalog equals the registry."""
        async with asyncio.timeout(CONVERGE_SECONDS):
            await self.sender.all_delivered(self.announced)
            await until_idle(self.settings, self.session)
        expected = await registry_snapshot(self.session, self.mlflow.url)
        actual = await catalog_snapshot(self.session, self.settings.admin_url)
        assert list(map(str, differences(expected, actual))) == []
        assert self.sender.taken == self.announced, "MLflow announced something else than what was changed"
        assert await self._api("runs", state="dead") == {"runs": []}
        assert await self._api("events", state="rejected") == {"events": []}

    async def _api(self, path: str, **query: str) -> Any:
        async with self.session.get(f"{self.settings.admin_url}/api/{path}", params=query) as response:
            return await response.json()


@asynccontextmanager
async def registry(directory: Path, seed: int, **more: str) -> AsyncGenerator[Registry]:
    assert MLFLOW.exists(), "MLflow is not installed: run `scripts/bootstrap mlflow` (`make test` does)"
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        mlflow = await stack.enter_async_context(mlflow_server(directory))
        settings = TidegateSettings(directory, mlflow.url, secrets.token_urlsafe(24), more=more)
        sender = await stack.enter_async_context(redelivery(settings.webhook_url))
        await mlflow.create_webhook(sender.url, settings.secret)
        yield Registry(mlflow, sender, settings, session, Scenario(seed))


@asynccontextmanager
async def tidegate(world: Registry) -> AsyncGenerator[Child]:
    child = await start_tidegate(world.settings)
    try:
        yield child
    finally:
        await child.stop()


def test_the_catalog_follows_a_real_registry(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with registry(tmp_path, seed=1) as world, tidegate(world) as service:
            await until_ready(service, world.settings, world.session)
            for _ in range(60):
                await world.change()
            while not world.scenario.may_end:
                await world.change()
            await world.assert_catalog_follows()
            assert world.sender.attempts == world.sender.delivered, "a delivery had to be repeated"
            assert await service.stop() == 0

    asyncio.run(scenario())


def test_killing_it_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    """kill -9 of Tidegate at random moments of the drive, start-up included, and a restart each time.

    The sender redelivers what was not answered with 2xx; all else is Tidegate's to keep.
    """

    async def scenario() -> None:
        moments = Random(2)
        lease = {"TIDEGATE__ENGINE__LEASE_SECONDS": "2"}  # a killed worker's runs are free again after this
        async with registry(tmp_path, seed=2, **lease) as world:
            stop = asyncio.Event()
            drive = asyncio.create_task(world.change_until(stop))
            for _ in range(KILLS):
                service = await start_tidegate(world.settings)
                await asyncio.sleep(moments.uniform(0.0, LONGEST_LIFE_SECONDS))
                assert service.process.returncode is None, service.tail()
                service.process.kill()
                await service.process.wait()
            stop.set()
            changes = await drive
            async with tidegate(world) as service:
                await until_ready(service, world.settings, world.session)
                await world.assert_catalog_follows()
            assert changes > KILLS
            assert world.sender.attempts > world.sender.delivered, "no kill hit a delivery"

    asyncio.run(scenario())
