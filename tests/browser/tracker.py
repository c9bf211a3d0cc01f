"""A small integration for the console's tests: a tracker whose answers can be broken and mended from outside."""

import random
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.app.service_process import Service, write_integration

HOSTILE = "<script>document.title = 'taken'</script>"

MAIN = """
import asyncio
from pathlib import Path
from tidegate import AbstractWebhookProcessor, Integration, RetryableError, WebhookEventRawResults

HERE = Path(__file__).parent
integration = Integration(HERE, identifier="tracker")


class IssueProcessor(AbstractWebhookProcessor):
    max_retries = 1
    initial_retry_delay_seconds = 0.05

    async def should_process_event(self, event):
        return event.payload.get("type") != "ping"

    async def get_matching_kinds(self, event):
        return ["issue", "project"] if "project" in event.payload else ["issue"]

    async def authenticate(self, payload, headers):
        return payload.get("by") != "mallory"

    async def validate_payload(self, payload):
        return True

    def resource_key(self, event):
        return f"PROJ-{event.payload.get('id')}"

    async def handle_event(self, payload, resource_config):
        await asyncio.sleep(0.004)
        if (HERE / "out").exists() and payload.get("frail"):
            raise RetryableError(f"GET https://tracker.example/issues/{payload['id']} answered 503")
        if (HERE / "wrong").exists() and payload.get("odd"):
            raise KeyError("assignee")
        return WebhookEventRawResults([payload], [])


integration.add_webhook_processor("/webhook", IssueProcessor)
"""

MAPPING = """
resources:
  - kind: issue
    selector: {query: .state != "closed"}
    port:
      entity:
        mappings:
          identifier: '"PROJ-" + (.id | tostring)'
          blueprint: '"issue"'
          title: .title
          properties:
            state: .state
            assignee: .assignee.login
            labels: .labels
  - kind: project
    selector: {query: "true"}
    port:
      entity:
        mappings:
          identifier: .project
          blueprint: '"project"'
          title: .project | ascii_upcase
"""

BLUEPRINTS = [
    {
        "identifier": "issue",
        "title": "Issue",
        "schema": {
            "properties": {
                "state": {"type": "string"},
                "assignee": {"type": "string"},
                "labels": {"type": "array"},
                "size": {"type": "number"},
            },
            "required": [],
        },
        "relations": {},
    },
    {
        "identifier": "project",
        "title": "Project",
        "schema": {"properties": {}, "required": []},
        "relations": {},
    },
]

TITLES = ("Payment fails on retry", "Login is slow after a cold start", "Rename the tide table", HOSTILE)


@dataclass
class Tracker:
    """The running service, and the third party's moods."""

    service: Service
    directory: Path
    _random: random.Random = field(default_factory=lambda: random.Random(7))

    def mood(self, name: str, *, bad: bool) -> None:
        """`out`: it answers 503 about frail issues. `wrong`: odd ones break the processor."""
        if bad:
            (self.directory / name).touch()
        else:
            (self.directory / name).unlink(missing_ok=True)

    def send(self, **more: Any) -> None:
        """One webhook about an open issue, with nothing left to chance but `more`."""
        payload = {
            "type": "issue.updated",
            "id": 1,
            "title": TITLES[0],
            "state": "open",
            "assignee": {"login": "ada", "api_token": "hunter2"},
            "labels": ["bug", "ui"],
            "comments": [{"id": number, "body": "It happened again."} for number in range(3)],
            "by": "ada",
            **more,
        }
        headers = {"X-GitHub-Delivery": uuid4().hex, "Authorization": "Bearer hunter2"}
        assert self.service.post(payload, headers=headers) == 202

    def send_any(self) -> None:
        """One webhook of whatever sort comes in a day's work."""
        draw = self._random
        more: dict[str, Any] = {"project": draw.choice(("atlas", "borealis"))} if draw.random() < 0.25 else {}
        self.send(
            type="ping" if draw.random() < 0.05 else "issue.updated",
            id=draw.randrange(1, 60),
            title=draw.choice(TITLES),
            state=draw.choice(("open", "open", "in progress", "closed")),
            assignee={"login": draw.choice(("ada", "grace", "linus")), "api_token": "hunter2"},
            labels=draw.sample(("bug", "ui", "p1", "backend"), 2),
            by="mallory" if draw.random() < 0.02 else "ada",
            **more,
        )

    def fill(self) -> None:
        """Events of all sorts, dead letters among them."""
        self.mood("out", bad=True)
        self.mood("wrong", bad=True)
        for _ in range(120):
            self.send_any()
        for number in range(12):
            self.send(id=100 + number, frail=True)
        for number in range(4):
            self.send(id=200 + number, odd=True)
        self.service.settle()


class Load:
    """Webhooks one after the other, until the block ends."""

    def __init__(self, tracker: Tracker, per_second: float) -> None:
        self._tracker = tracker
        self._pause = 1 / per_second
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._over.wait(self._pause):
            self._tracker.send_any()

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def started(directory: Path) -> Tracker:
    """The service, with something to look at."""
    service = Service(write_integration(directory, MAIN, MAPPING, BLUEPRINTS)).start()
    tracker = Tracker(service, directory)
    tracker.fill()
    return tracker
