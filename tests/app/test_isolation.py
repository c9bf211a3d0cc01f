"""Code of authors that computes for ever, hangs where nothing can interrupt it, or ends its process: the rest
goes on, the ingress takes everything in, and the event that does it ends dead."""

import os
import signal
import threading
from pathlib import Path

import pytest

from tests.app.service_process import MAIN, Service, eventually, write_integration

POISON = """

import itertools
import re
import time


class Poison(IssueProcessor):
    max_retries = 0

    async def handle_event(self, payload, resource_config):
        match payload["title"]:
            case "compute":
                number = 0
                while True:
                    number += 1
            case "sleep":
                time.sleep(3600)
            case "compute in a task":
                await asyncio.gather(self.compute())
            case "backtrack":
                re.match("(a+)+$", "a" * 64 + "b")
            case "hold the interpreter":
                any(itertools.repeat(False))
            case "exit":
                os._exit(1)
        return WebhookEventRawResults([], [])

    async def compute(self):
        while True:
            pass


class RoutingPoison(Poison):
    async def should_process_event(self, event):
        if event.payload["title"] == "exit":
            os._exit(1)
        return True


integration.add_webhook_processor("/poison", Poison)
integration.add_webhook_processor("/routing", RoutingPoison)
integration.add_webhook_processor("/routing", IssueProcessor)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_integration(tmp_path / "integration", MAIN + POISON)


def issue(number: int, title: str = "fine") -> dict[str, object]:
    return {"id": number, "title": title, "state": "open"}


def poisoned(directory: Path, **more: str) -> Service:
    quick = {"TIDEGATE__STALL_SECONDS": "0.4", "TIDEGATE__ENGINE__LEASE_SECONDS": "3"}
    return Service(directory, env={**quick, **more})


def dead_runs(service: Service) -> dict[str, str]:
    """What is dead, and why, by the titles of the events."""
    found = service.get("/api/runs?state=dead")["runs"]
    return {service.get(f"/api/events/{run['event_id']}")["payload"]["title"]: run["detail"] for run in found}


def keep_posting(service: Service, first: int, done: threading.Event) -> list[int]:
    """Post one issue after the other until told to stop; answers the statuses."""
    statuses: list[int] = []
    while not done.wait(0.05):
        statuses.append(service.post(issue(first + len(statuses))))
    return statuses


@pytest.mark.slow
def test_what_takes_workers_down_ends_dead_and_nothing_else_does(directory: Path) -> None:
    with poisoned(directory, TIDEGATE__PROCESSES="2") as service:
        for number, title in enumerate(["compute", "hold the interpreter", "exit"]):
            assert service.post(issue(number, title), path="/poison") == 202
        assert service.post(issue(50, "exit"), path="/routing") == 202
        done, statuses = threading.Event(), list[int]()
        posting = threading.Thread(target=lambda: statuses.extend(keep_posting(service, 100, done)))
        posting.start()
        try:
            eventually(lambda: service.get("/api/status")["backlog"]["dead_runs"] == 4, 120)
        finally:
            done.set()
            posting.join()
        service.settle()
        dead = dead_runs(service)
        assert "held the event loop for more than 1.4 s without awaiting, at" in dead["compute"]
        assert "main.py:" in dead["compute"]
        assert (
            dead["hold the interpreter"]
            == dead["exit"]
            == "the worker died 5 times while it processed this run"
        )
        assert len(statuses) > 50
        # Who holds the interpreter in the middle of a commit holds the engine's write lock with it, until the
        # parent kills it: 503 after a while, and nothing lost.
        assert set(statuses) <= {202, 503}
        posted = {str(100 + number) for number, status in enumerate(statuses) if status == 202}
        assert len(posted) > len(statuses) / 2
        assert set(service.entities()) == posted | {"50"}  # the other processor of that event went on
        assert any("has stood still" in line and "in handle_event" in line for line in service.log), (
            service.log
        )


@pytest.mark.parametrize("processes", ["0", "1"])
def test_a_processor_that_blocks_is_stopped_and_the_others_go_on(directory: Path, processes: str) -> None:
    with poisoned(directory, TIDEGATE__PROCESSES=processes) as service:
        for number, title in enumerate(["sleep", "backtrack", "compute in a task"]):
            assert service.post(issue(number, title), path="/poison") == 202
        for number in range(10, 20):
            assert service.post(issue(number)) == 202
        service.settle()
        assert set(service.entities()) == {str(number) for number in range(10, 20)}, "".join(service.log)
        dead = dead_runs(service)
        assert set(dead) == {"sleep", "backtrack", "compute in a task"}
        assert all("held the event loop" in detail for detail in dead.values())
        assert service.terminate() == 0


def test_a_process_that_does_not_answer_is_killed_even_if_it_cannot_say_where_it_stands(
    directory: Path,
) -> None:
    with poisoned(directory) as service:
        before = service.child("worker-1")
        eventually(lambda: service.ready()["status"] == "ready")
        os.kill(before, signal.SIGSTOP)
        assert service.post(issue(1)) == 202
        eventually(lambda: service.find_child("worker-1") not in (None, before))
        service.settle()
        assert set(service.entities()) == {"1"}
