"""A real MLflow server on a free port, with its own database, allowed to send webhooks to this machine."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from demo.children import Child, ChildFailedError, free_port, inherited, start_child

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv-mlflow" / "bin"
MLFLOW = BIN / "mlflow"
START_SECONDS = 120.0
WEBHOOK_EVENTS = (
    "registered_model.created",
    "model_version.created",
    "model_version_tag.set",
    "model_version_tag.deleted",
    "model_version_alias.created",
    "model_version_alias.deleted",
)


class MlflowCallError(Exception):
    """MlflowClient raised. The message is its own."""


@dataclass(frozen=True)
class Answer:
    """What a call gave: the version of the model version it returned, if one, and when (Unix seconds)."""

    version: str | None
    done_at: float


@dataclass(eq=False)
class MlflowServer:
    """A running server with a client beside it."""

    url: str
    server: Child
    calls: Child

    async def call(self, method: str, arguments: dict[str, Any]) -> Answer:
        """Call a method of MlflowClient. Raises MlflowCallError, or ChildFailedError if the client is gone."""
        return (await self.call_at_once([(method, arguments)]))[0]

    async def call_at_once(self, calls: list[tuple[str, dict[str, Any]]]) -> list[Answer]:
        """Make several calls at the same time. Raises as `call` does."""
        request = [{"call": method, "arguments": arguments} for method, arguments in calls]
        answers: list[Answer] = []
        for answer in await self._exchange(request):
            if "error" in answer:
                raise MlflowCallError(answer["error"])
            answers.append(Answer(answer["version"], answer["done_at"]))
        return answers

    async def create_webhook(self, url: str, secret: str) -> None:
        """Have MLflow tell `url` of every change of the registry that it has an event for."""
        arguments = {"name": "tidegate", "url": url, "events": list(WEBHOOK_EVENTS), "secret": secret}
        await self.call("create_webhook", arguments)

    async def _exchange(self, request: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
        process = self.calls.process
        assert process.stdin is not None
        assert process.stdout is not None
        if request is not None:
            process.stdin.write(json.dumps(request).encode() + b"\n")
        line = await process.stdout.readline()
        if not line:
            raise ChildFailedError(f"{self.calls.name} ended:\n{self.calls.tail()}")
        return json.loads(line)

    async def started(self) -> None:
        """Wait until server and client are ready. Raises ChildFailedError."""
        async with aiohttp.ClientSession() as session:

            async def healthy() -> bool:
                try:
                    async with session.get(f"{self.url}/health") as response:
                        return response.status == 200
                except aiohttp.ClientError:
                    return False

            await self.server.until_ready(healthy, START_SECONDS)
        await asyncio.wait_for(self._exchange(None), START_SECONDS)


@asynccontextmanager
async def mlflow_server(directory: Path) -> AsyncGenerator[MlflowServer]:
    """Start MLflow with its data in `directory`; it is gone when the block ends. Raises ChildFailedError."""
    if not MLFLOW.exists():
        raise ChildFailedError(f"MLflow is not installed in {BIN.parent}: run `scripts/bootstrap mlflow`")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **inherited("MLFLOW_", "TIDEGATE_"),
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONWARNINGS": "ignore",
        "GIT_PYTHON_REFRESH": "quiet",
    }
    serve = [MLFLOW, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    store = [
        "--backend-store-uri",
        f"sqlite:///{directory}/mlflow.db",
        "--default-artifact-root",
        f"{directory}/runs",
    ]
    server = await start_child("MLflow", [*serve, *store], directory=directory, environment=environment)
    try:
        calls = await start_child(
            "MLflow client",
            [BIN / "python", Path(__file__).with_name("mlflow_calls.py"), url],
            directory=directory,
            environment=environment,
            piped=True,
        )
        try:
            running = MlflowServer(url, server, calls)
            await running.started()
            yield running
        finally:
            await calls.stop(grace_seconds=2.0)
    finally:
        await server.stop(grace_seconds=5.0)
