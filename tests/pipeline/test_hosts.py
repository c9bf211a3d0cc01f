"""A third party that allows no more requests for now: its runs wait, and nobody else's do."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from aiohttp import web

from tests.pipeline.issues import IssueProcessor, MakeIntegration, issue
from tidegate import EventPayload, ResourceConfig, WebhookEvent, WebhookEventRawResults
from tidegate.core.inspection import Page, RunFilter
from tidegate.core.lifecycle import RunState
from tidegate.core.signals import DependencyPaused
from tidegate.testing import harness


class Fetching(IssueProcessor):
    """Asks the host that the integration's value of its own name gives."""

    async def should_process_event(self, event: WebhookEvent) -> bool:
        return event.payload["host"] == type(self).__name__.lower()

    async def handle_event(
        self, payload: EventPayload, resource_config: ResourceConfig
    ) -> WebhookEventRawResults:
        url = self.integration.config[payload["host"]]
        return WebhookEventRawResults([await self.integration.http.get_json(url)], [])


class Limited(Fetching):
    pass


class Free(Fetching):
    pass


class Api:
    """Answers every request with an issue of its own, and with these headers."""

    def __init__(self, prefix: str, headers: dict[str, str]) -> None:
        self.prefix, self.headers, self.requests = prefix, headers, 0

    async def answer(self, _: web.Request) -> web.Response:
        self.requests += 1
        body = issue(self.requests, f"{self.prefix}{self.requests}")["issue"]
        return web.json_response(body, headers=self.headers)


@asynccontextmanager
async def served(api: Api) -> AsyncGenerator[str]:
    app = web.Application()
    app.router.add_get("/", api.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/"
    finally:
        await runner.cleanup()


def test_a_quota_that_is_used_up_slows_that_host_alone(make_integration: MakeIntegration) -> None:
    async def scenario() -> None:
        limited = Api("L", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3600"})
        free = Api("F", {"X-RateLimit-Remaining": "7", "X-RateLimit-Reset": "3600"})
        async with served(limited) as limited_url, served(free) as free_url:
            config = {"limited": limited_url, "free": free_url}
            async with harness(make_integration(Limited, Free), config=config, workers=1) as running:
                for _ in range(5):
                    await running.deliver("/webhook", {"host": "limited"})
                    await running.deliver("/webhook", {"host": "free"})
                async with asyncio.timeout(10):
                    while len(running.entities) < 6:
                        await running.engine.wait(0.05)
                runs = await running.engine.find_runs(RunFilter(processor="Limited"), Page())
                assert limited.requests == 1
                assert free.requests == 5
                assert [run.failures for run in runs] == [0] * 5
                assert sum(run.state is RunState.APPLIED for run in runs) == 1
                [pause] = [signal for signal in running.signals.seen if isinstance(signal, DependencyPaused)]
                assert pause.name in limited_url
                assert pause.paused
                assert "allows no more requests for 3600 s" in pause.reason

    asyncio.run(scenario())
