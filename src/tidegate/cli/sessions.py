"""Opens the engine for one command, beside a running service or without one."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

from tidegate.app.adapters import COMMAND_PATIENCE_SECONDS, engine_path, open_engine
from tidegate.config import Settings, load_settings
from tidegate.core.errors import ConfigurationError
from tidegate.core.ports import WholeEngine

ResultT = TypeVar("ResultT")


def with_engine(config: Path | None, use: Callable[[WholeEngine, Settings], Awaitable[ResultT]]) -> ResultT:
    """Run `use` with the engine of the settings. Raises ConfigurationError if there is none yet."""
    settings = load_settings(config)
    path = engine_path(settings)
    if path is not None and not path.exists():
        raise ConfigurationError(
            f"there is no engine at {path}: start `tidegate run` first, or point TIDEGATE__ENGINE__URL at it"
        )

    async def session() -> ResultT:
        async with AsyncExitStack() as stack:
            engine = await open_engine(stack, settings, patience_seconds=COMMAND_PATIENCE_SECONDS)
            return await use(engine, settings)

    return asyncio.run(session())
