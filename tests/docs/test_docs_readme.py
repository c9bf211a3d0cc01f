"""What the README shows works as a newcomer types it: `tidegate init`, then the processor of 30 lines."""

import asyncio
from pathlib import Path

from aiohttp import web

from tests.docs.pages import ROOT, Block, blocks
from tidegate.cli.loading import load_integration
from tidegate.testing.harness import harness


def titled(title: str) -> Block:
    return next(block for block in blocks(ROOT / "README.md") if block.title == title)


def test_the_mapping_is_the_one_that_init_writes(project: Path) -> None:
    block = titled(".port/resources/port-app-config.yml")
    assert (project / block.title).read_text() == block.text


def test_the_processor_has_30_lines() -> None:
    assert len([line for line in titled("main.py").text.splitlines() if line]) <= 30


def test_the_processor_follows_the_tracker(project: Path) -> None:
    (project / "main.py").write_text(titled("main.py").text)
    integration = load_integration("main:integration", project)
    tickets = {
        "7": {"id": 7, "title": "The door squeaks", "status": "open", "url": "https://tracker.example/7"}
    }
    answers: list[int] = [503]  # the tracker is out at first

    async def ticket(request: web.Request) -> web.Response:
        if answers:
            return web.Response(status=answers.pop())
        found = tickets.get(request.match_info["id"])
        return web.json_response(found) if found else web.Response(status=404)

    async def scenario() -> None:
        tracker = web.Application()
        tracker.router.add_get("/tickets/{id}", ticket)
        runner = web.AppRunner(tracker)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        config = {"api_url": f"http://127.0.0.1:{runner.addresses[0][1]}", "webhook_secret": "s"}
        integration.registrations[0].processor.initial_retry_delay_seconds = 0.01
        async with harness(integration, config=config) as running:
            event = await running.deliver("/webhook", {"ticket": {"id": 7}})
            await running.settle()
            entity = running.entity("myTrackerTicket", "7")
            assert entity is not None
            assert entity.title == "The door squeaks"
            assert entity.properties == {"status": "open", "url": "https://tracker.example/7", "labels": []}
            assert (await running.explain(event)).runs[0].failures == 1

            tickets.clear()
            await running.deliver("/webhook", {"ticket": {"id": 7}})
            await running.settle()
            assert not running.entities
        await runner.cleanup()

    asyncio.run(scenario())
