"""What one would write by hand, the working half: an arq worker fetches, maps in plain Python, and writes to Port."""

import os
from typing import Any

import aiohttp
from arq.connections import RedisSettings

from bench.work import entity


async def startup(context: dict[str, Any]) -> None:
    world = os.environ["BENCH_WORLD"]
    context["world"], context["http"] = world, aiohttp.ClientSession()
    credentials = {"clientId": "bench", "clientSecret": "bench"}
    async with context["http"].post(f"{world}/v1/auth/access_token", json=credentials) as response:
        token = (await response.json())["accessToken"]
    context["headers"] = {"Authorization": f"Bearer {token}"}


async def shutdown(context: dict[str, Any]) -> None:
    await context["http"].close()


async def process(context: dict[str, Any], payload: dict[str, Any]) -> None:
    http, world = context["http"], context["world"]
    async with http.get(f"{world}/issues/{payload['id']}") as response:
        response.raise_for_status()
        issue = await response.json()
    url = f"{world}/v1/blueprints/issue/entities?upsert=true&merge=true"
    async with http.post(url, json=entity(issue), headers=context["headers"]) as response:
        response.raise_for_status()


class WorkerSettings:
    functions = (process,)
    on_startup = startup
    on_shutdown = shutdown
    redis_settings = RedisSettings.from_dsn(os.environ.get("BENCH_REDIS", "redis://127.0.0.1"))
    max_jobs = 32
    poll_delay = 0.02  # the default, 0.5 s, would decide how fresh the catalog is
    keep_result = 0
