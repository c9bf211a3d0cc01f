"""Tidegate as a user runs it: the command, settings from the environment, the MLflow integration."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from demo.children import Child, free_port, inherited, start_child

ROOT = Path(__file__).resolve().parent.parent
COMMAND = ROOT / ".venv" / "bin" / "tidegate"
INTEGRATION = ROOT / "examples" / "mlflow"
START_SECONDS = 60.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class TidegateSettings:
    """Where it listens, keeps its data, and finds MLflow. `more` are settings of the test's own."""

    directory: Path
    mlflow_url: str
    secret: str
    port: int = field(default_factory=free_port)
    admin_port: int = field(default_factory=free_port)
    more: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def webhook_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/integration/webhook"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    def environment(self) -> dict[str, str]:
        return {
            **inherited("TIDEGATE_"),
            "TIDEGATE__TARGET": "catalog",
            "TIDEGATE__ENGINE__URL": f"sqlite:///{self.directory}/tidegate.db",
            "TIDEGATE__INTEGRATION__CONFIG__MLFLOW_URL": self.mlflow_url,
            "TIDEGATE__INTEGRATION__CONFIG__WEBHOOK_SECRET": self.secret,
            **self.more,
        }


async def start_tidegate(settings: TidegateSettings) -> Child:
    """Start the service; it may not be ready yet."""
    command = [COMMAND, "run", "main:integration", "--app-dir", INTEGRATION]
    listeners = ["--port", str(settings.port), "--admin-port", str(settings.admin_port)]
    return await start_child(
        "Tidegate", [*command, *listeners], directory=settings.directory, environment=settings.environment()
    )


async def until_idle(settings: TidegateSettings, session: aiohttp.ClientSession) -> None:
    """Wait until nothing is left to do: every event that was accepted has reached its end."""
    while True:
        async with session.get(f"{settings.admin_url}/api/status") as response:
            backlog = (await response.json())["backlog"]
        if not any(backlog[name] for name in ("queued_events", "ready_runs", "held_runs", "claimed_runs")):
            return
        await asyncio.sleep(POLL_SECONDS)


async def until_ready(child: Child, settings: TidegateSettings, session: aiohttp.ClientSession) -> None:
    """Wait until it processes events. Raises ChildFailedError."""

    async def ready() -> bool:
        try:
            async with session.get(f"{settings.admin_url}/readyz") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    await child.until_ready(ready, START_SECONDS)
