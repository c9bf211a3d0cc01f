"""What the engine tests share: a clock, events, and engines by name."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tidegate.core.events import EventHeaders, IncomingEvent
from tidegate.engines.sqlite import SqliteEngine
from tidegate.testing.clock import START, FakeClock

OpenEngine = Callable[[], AbstractAsyncContextManager[SqliteEngine]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "engine.db"


@pytest.fixture
def open_engine(path: Path, clock: FakeClock) -> OpenEngine:
    """Opens the same file again and again."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[SqliteEngine]:
        async with SqliteEngine.open(path, clock=clock, lease_seconds=10) as engine:
            yield engine

    return opened


@pytest.fixture
def make_event() -> Callable[..., IncomingEvent]:
    """Makes events with ids of their own."""
    count = 0

    def make(body: bytes = b'{"a": 1}', delivery_id: str | None = None) -> IncomingEvent:
        nonlocal count
        count += 1
        return IncomingEvent(
            id=f"{count:08d}-0000-7000-8000-000000000000",
            path="/webhook",
            headers=EventHeaders({"Content-Type": "application/json"}),
            body=body,
            received_at=START,
            trace_id="0" * 32,
            delivery_id=delivery_id,
        )

    return make
