"""The tutorial is followed, block by block: files are written, commands run, the service and the tracker live."""

import json
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.app.service_process import Service, environment
from tests.docs.pages import DOCS, Block, blocks
from tidegate.cli.main import app

DEADLINE_SECONDS = 30.0


class Learner:
    """Does what the tutorial says, in a directory, with free ports instead of the ones that it names."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, stack: ExitStack) -> None:
        self.directory = directory
        self._monkeypatch = monkeypatch
        self._stack = stack
        self._shell = CliRunner()
        self._tracker: subprocess.Popen[str] | None = None
        self._tracker_port = free_port()
        self.service: Service | None = None
        self.said: dict[str, str] = {}

    def do(self, block: Block) -> None:
        if block.title.startswith("Terminal 1"):
            self._serve()
        elif block.title.startswith("Terminal 3"):
            self._track()
        elif block.title:
            (self.directory / block.title).write_text(block.text)
        else:
            for line in block.text.splitlines():
                self._type(line)

    def _serve(self) -> None:
        """Stop the service if it runs, and start it; the tracker must know its new address."""
        if self.service is not None:
            assert self.service.terminate() == 0
        api = f"http://127.0.0.1:{self._tracker_port}"
        wired = "API_URL" in (self.directory / ".env").read_text()
        env = {"TIDEGATE__INTEGRATION__CONFIG__API_URL": api} if wired else {}
        self.service = self._stack.enter_context(Service(self.directory, env))
        host, _, port = (
            self.service.webhooks.removesuffix("/integration").removeprefix("http://").partition(":")
        )
        self._monkeypatch.setenv("TIDEGATE__INGRESS__HOST", host)
        self._monkeypatch.setenv("TIDEGATE__INGRESS__PORT", port)
        if self._tracker is not None:
            self._track()

    def _track(self) -> None:
        assert self.service is not None
        self.stop_tracker()
        more = {"TRACKER_PORT": str(self._tracker_port), "WEBHOOK_URL": f"{self.service.webhooks}/webhook"}
        self._tracker = subprocess.Popen(
            [sys.executable, "tracker.py"],
            cwd=self.directory,
            env=environment(more),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def stop_tracker(self) -> None:
        if self._tracker is not None:
            self._tracker.terminate()
            self._tracker.wait(10)

    def _type(self, line: str) -> None:
        before, _, piped = line.rpartition(" | ")
        if piped.startswith("tidegate "):
            given = subprocess.run(["sh", "-c", before], capture_output=True, text=True, check=True).stdout
            self._tidegate(piped, given)
        elif line.startswith("cd "):
            self.directory = self.directory / line.removeprefix("cd ")
            os.chdir(self.directory)
        else:
            line = line.replace("python -m", f"{shlex.quote(sys.executable)} -m")
            subprocess.run(["sh", "-c", line], cwd=self.directory, capture_output=True, check=True)
            if "tickets/" in line:
                self._until_in_step()

    def _tidegate(self, line: str, given: str) -> None:
        result = self._shell.invoke(app, shlex.split(line, comments=True)[1:], input=given)
        refused = line.endswith("# refused")
        assert result.exit_code == (1 if refused else 0), f"{line}: {result.output} {result.exception}"
        self.said[line.removeprefix("tidegate ")] = result.output
        if line.startswith("tidegate send") and self.service is not None:
            self.service.settle()

    def _until_in_step(self) -> None:
        """Until the catalog says of every ticket what its file says."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            wanted = {file.stem: json.loads(file.read_text()) for file in Path("tickets").glob("*.json")}
            wanted = {
                number: ticket["status"] for number, ticket in wanted.items() if ticket["status"] != "spam"
            }
            found = {number: status for number, status in self.statuses().items() if number != "1"}
            if found == wanted:
                break
            assert time.monotonic() < deadline, f"{found} is not {wanted}"
            threading.Event().wait(0.02)
        assert self.service is not None
        self.service.settle()

    def statuses(self) -> dict[str, str]:
        assert self.service is not None
        listing = self.service.get("/v1/blueprints/myTrackerTicket/entities")["entities"]
        return {entity["identifier"]: entity["properties"]["status"] for entity in listing}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_the_tutorial_can_be_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "main", raising=False)
    with ExitStack() as stack:
        learner = Learner(tmp_path, monkeypatch, stack)
        stack.callback(learner.stop_tracker)
        for block in blocks(DOCS / "tutorial.md"):
            if block.runs and block.language != "text":
                learner.do(block)
        sys.modules.pop("main", None)
    said = learner.said
    assert '"A first ticket"' in said["entities show myTrackerTicket 1"]
    assert "applied" in said["events list"]
    assert '"The door squeaks"' in said["entities show myTrackerTicket 7"]
    assert "the processor says that it is deleted" in said["entities why myTrackerTicket 7"]
    assert "unauthorized" in said["send /webhook --data sample.json  # refused"]
    assert '"nobody"' in next(text for line, text in said.items() if line.startswith("map "))
    assert '"Ada"' in said["entities show myTrackerTicket 8"]
    assert "the selector does not match any more" in said["entities why myTrackerTicket 8"]
