"""Drives the registry and watches the catalog follow."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp

from demo.mlflow_server import MlflowServer
from demo.scenario import Scenario
from demo.show import Display
from demo.truth import differences, registry_snapshot
from demo.watching import CatalogWatch

FOLLOW_SECONDS = 10.0
PATIENCE_SECONDS = 0.5
BURST = 40


@dataclass
class Tally:
    """What happened in the drive."""

    changes: int = 0
    silent: int = 0
    late: int = 0
    seconds: float = 0.0
    freshness_seconds: list[float] = field(default_factory=list[float])


@dataclass(frozen=True)
class Burst:
    """Many changes at once: how long they took, how many webhooks came, how many runs they cost, and how long
    after the last change the catalog had caught up.
    """

    changes: int
    seconds: float
    webhooks: int
    runs: int
    caught_up_seconds: float | None


@dataclass(frozen=True)
class Driver:
    """Makes changes one at a time, each followed until the catalog shows it."""

    mlflow: MlflowServer
    session: aiohttp.ClientSession
    admin_url: str
    watch: CatalogWatch
    display: Display
    scenario: Scenario

    async def drive(self, count: int) -> Tally:
        """Make about `count` changes; the last is one that MLflow announces."""
        tally, began = Tally(), time.monotonic()
        self.display.heading()
        while tally.changes < count or not self.scenario.may_end:
            await self._step(tally)
        tally.seconds = time.monotonic() - began
        return tally

    async def _step(self, tally: Tally) -> None:
        change = self.scenario.next()
        before, began = self.watch.current, time.time()
        answer = await self.mlflow.call(change.call, change.arguments)
        self.scenario.record(change, answer.version)
        tally.changes += 1
        if not change.announced:
            tally.silent += 1
            self.display.silent(change.text)
            return
        await self.watch.another_state(before, PATIENCE_SECONDS)  # MLflow is busy with Tidegate's reads
        expected = await registry_snapshot(self.session, self.mlflow.url)
        seen_at = await self.watch.first_equal(expected, began, FOLLOW_SECONDS)
        freshness = None if seen_at is None else max(seen_at - answer.done_at, 0.0)
        entities = differences(expected, before)
        if freshness is None:
            tally.late += 1
        elif entities:  # what was so already cannot become fresh
            tally.freshness_seconds.append(freshness)
        self.display.announced(change.text, await self._newest_webhook(), entities, freshness)

    async def burst(self) -> Burst:
        """Make many changes to one model at the same time, and see how much work they are."""
        name = "burst"
        await self.mlflow.call("create_registered_model", {"name": name})
        version = {"name": name, "source": "s3://models/burst", "await_creation_for": 0}
        await self.mlflow.call("create_model_version", version)
        await self._followed()
        began = datetime.now(UTC)
        tag: dict[str, Any] = {"name": name, "version": "1", "value": "true"}
        calls = [("set_model_version_tag", {**tag, "key": f"key-{number}"}) for number in range(BURST)]
        ended = max(answer.done_at for answer in await self.mlflow.call_at_once(calls))
        seen_at = await self._followed()
        seconds = ended - began.timestamp()
        events = (await self._api("events", since=began.isoformat(), limit="500"))["events"]
        runs = (await self._api("runs", since=began.isoformat(), state="applied", limit="500"))["runs"]
        caught_up = None if seen_at is None else max(seen_at - ended, 0.0)
        return Burst(BURST, seconds, len(events), len(runs), caught_up)

    async def _followed(self) -> float | None:
        """When the catalog was first seen to equal what the registry is now; None if it was not in time."""
        expected = await registry_snapshot(self.session, self.mlflow.url)
        return await self.watch.first_equal(expected, 0.0, FOLLOW_SECONDS)

    async def _newest_webhook(self) -> str:
        """The event that the last webhook announced, as Tidegate's operations API tells it."""
        record = (await self._api("events", limit="1"))["events"][0]
        payload = (await self._api(f"events/{record['id']}"))["payload"]
        return f"{payload['entity']}.{payload['action']}"

    async def _api(self, path: str, **query: str) -> Any:
        async with self.session.get(f"{self.admin_url}/api/{path}", params=query) as response:
            response.raise_for_status()
            return await response.json()
