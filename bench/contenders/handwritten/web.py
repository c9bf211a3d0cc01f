"""What one would write by hand, the receiving half: FastAPI puts the webhook into Redis by arq, and answers 202."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings
from fastapi import FastAPI, Request


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.queue = await create_pool(RedisSettings.from_dsn(os.environ["BENCH_REDIS"]))
    yield
    await app.state.queue.aclose()


app = FastAPI(lifespan=lifespan)


@app.post("/webhook", status_code=202)
async def webhook(payload: dict[str, Any], request: Request) -> dict[str, str]:
    await request.app.state.queue.enqueue_job("process", payload)
    return {"status": "accepted"}
