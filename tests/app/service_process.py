"""A real `tidegate run` in a process of its own, for tests that kill it."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import msgspec

ResultT = TypeVar("ResultT")

MAIN = """
import asyncio, os
from pathlib import Path
from tidegate import AbstractWebhookProcessor, Integration, WebhookEventRawResults

integration = Integration(Path(__file__).parent, identifier="tests")


class IssueProcessor(AbstractWebhookProcessor):
    async def should_process_event(self, event):
        return True

    async def get_matching_kinds(self, event):
        return ["issue"]

    async def authenticate(self, payload, headers):
        return True

    async def validate_payload(self, payload):
        return True

    def resource_key(self, event):
        return str(event.payload["id"])

    async def handle_event(self, payload, resource_config):
        await asyncio.sleep(float(self.integration.config.get("fetch_seconds", 0)))
        return WebhookEventRawResults([payload], [])


integration.add_webhook_processor("/webhook", IssueProcessor)
"""

MAPPING = """
resources:
  - kind: issue
    selector: {query: "true"}
    port:
      entity:
        mappings:
          identifier: .id | tostring
          blueprint: '"issue"'
          title: .title
          properties: {state: .state}
"""

BLUEPRINTS = [
    {
        "identifier": "issue",
        "title": "Issue",
        "schema": {"properties": {"state": {"type": "string"}}, "required": []},
        "relations": {},
    }
]


def write_integration(
    directory: Path, main: str = MAIN, mapping: str = MAPPING, blueprints: Any = BLUEPRINTS
) -> Path:
    """An integration in `directory`: of issues, unless told otherwise."""
    resources = directory / ".port" / "resources"
    resources.mkdir(parents=True)
    (directory / "main.py").write_text(main)
    (resources / "port-app-config.yml").write_text(mapping)
    (resources / "blueprints.json").write_bytes(msgspec.json.encode(blueprints))
    return directory


def tidegate(*arguments: str, cwd: Path, env: dict[str, str] | None = None, stdin: bytes = b""):
    """Run a command to its end."""
    command = [sys.executable, "-m", "tidegate", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment(env), input=stdin, capture_output=True, timeout=60, check=False
    )


def environment(more: dict[str, str] | None = None) -> dict[str, str]:
    """This process's environment without settings of Tidegate, plus `more`."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE")}
    return {**plain, "NO_COLOR": "1", "COLUMNS": "200", **(more or {})}


def eventually(what: Callable[[], ResultT | None], timeout_seconds: float = 30) -> ResultT:
    """What it answers, once that is true."""
    deadline = time.monotonic() + timeout_seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come about in time"
        threading.Event().wait(0.02)
    return found


@dataclass
class Service:
    """A running service; `start` again after a kill, in the same directory."""

    directory: Path
    env: dict[str, str] = field(default_factory=dict)
    webhooks: str = ""
    admin: str = ""
    log: list[str] = field(default_factory=list)

    def start(self) -> "Service":
        command = [
            sys.executable,
            "-m",
            "tidegate",
            "run",
            "main:integration",
            "--port",
            "0",
            "--admin-port",
            "0",
        ]
        self.process = subprocess.Popen(
            command, cwd=self.directory, env=environment(self.env), stderr=subprocess.PIPE, text=True
        )
        lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(self.process.stderr, lines), daemon=True)
        self._reader.start()
        announced = ""
        while "metrics" not in announced:
            line = lines.get(timeout=30)
            assert line, f"the service ended: {announced}"
            announced += line
        webhooks = re.search(r"POST (\S+)/webhook", announced)
        admin = re.search(r"operations\s+(\S+)/api/status", announced)
        assert admin is not None
        self.webhooks, self.admin = webhooks[1] if webhooks else "", admin[1]
        return self

    def _read(self, stream: Any, lines: "queue.Queue[str]") -> None:
        for line in stream:
            self.log.append(line)
            lines.put(line)
        lines.put("")

    def post(
        self,
        payload: Any,
        path: str = "/webhook",
        headers: dict[str, str] | None = None,
        timeout_seconds: float = 10,
    ) -> int:
        """POST a webhook; the status, or 0 if there was no answer."""
        body = msgspec.json.encode(payload)
        sent = {"Content-Type": "application/json", **(headers or {})}
        try:
            with urlopen(Request(self.webhooks + path, body, sent), timeout=timeout_seconds) as answer:
                return answer.status
        except HTTPError as error:
            return error.code
        except (URLError, OSError):
            return 0

    def get(self, path: str) -> Any:
        """GET a JSON document of the admin listener."""
        token = self.env.get("TIDEGATE__ADMIN__TOKEN")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with urlopen(Request(self.admin + path, headers=headers), timeout=30) as answer:
            return msgspec.json.decode(answer.read())

    def redrive(self, error: str) -> int:
        """Redrive the dead letters with that error; how many there were."""
        body = msgspec.json.encode({"error": error})
        request = Request(f"{self.admin}/api/deadletters/redrive", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=30) as answer:
            return msgspec.json.decode(answer.read())["count"]

    def ready(self) -> Any:
        """What /readyz says, whatever its status."""
        try:
            return self.get("/readyz")
        except HTTPError as answer:
            return msgspec.json.decode(answer.read())

    def find_child(self, name: str) -> int | None:
        """The process id of a child, None if it is not there."""
        pid = self.process.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            try:
                if Path("/proc", child, "comm").read_text().strip() == name:
                    return int(child)
            except OSError:
                continue
        return None

    def child(self, name: str) -> int:
        """Its process id; waits until it is there."""
        return eventually(lambda: self.find_child(name))

    @staticmethod
    def signal(pid: int, number: signal.Signals) -> None:
        os.kill(pid, number)

    def entities(self) -> dict[str, Any]:
        found = self.get("/v1/blueprints/issue/entities")["entities"]
        return {entity["identifier"]: entity for entity in found}

    def settle(self, timeout_seconds: float = 60) -> None:
        """Wait until nothing is unfinished, through outages of the engine."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            backlog = self._backlog()
            if backlog is not None and not any(
                backlog[name] for name in ("queued_events", "ready_runs", "held_runs", "claimed_runs")
            ):
                return
            assert time.monotonic() < deadline, backlog
            threading.Event().wait(0.05)

    def _backlog(self) -> Any:
        """None while the engine cannot tell."""
        try:
            return self.get("/api/status")["backlog"]
        except HTTPError as answer:
            if answer.code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            return None

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self._gone()

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self._gone()

    def _gone(self) -> int:
        code = self.process.wait(60)
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def __enter__(self) -> "Service":
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
