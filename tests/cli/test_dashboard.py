"""The dashboard: everything that matters, at any size of the terminal, and live in a real one."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from tests.app.service_process import Service, environment, write_integration
from tidegate.cli.dashboard import Dashboard
from tidegate.cli.sparklines import sparkline
from tidegate.core.history import History
from tidegate.core.inspection import Backlog
from tidegate.core.overviews import Overview, Pause
from tidegate.core.runs import StepName
from tidegate.core.samples import Process, Stage
from tidegate.core.tallies import CountKey, ErrorKey, Tally
from tidegate.testing.clock import START

BACKLOG = Backlog(ready_runs=1200, claimed_runs=16, dead_runs=3, oldest_seconds=75)


def overview(kinds: int = 2) -> Overview:
    """Of two processes that did a bit of everything for ten minutes."""
    history, now = History(), START + timedelta(hours=1)
    for age in range(120, -1, -1):
        for name in ("worker-1", "ingress-1"):
            tally = Tally()
            tally.count(CountKey(Stage.RECEIVED, "accepted", "/webhook"), 250)
            tally.count(CountKey(Stage.RECEIVED, "bad-json", "/webhook"), 5)
            tally.count(CountKey(Stage.SETTLED, "retry", "", "IssueProcessor", "issue"), 5)
            tally.count(CountKey(Stage.WRITTEN, "upsert", "", "", "issue"), 100)
            tally.time(StepName.FETCH, "issue", 0.02)
            for kind in range(kinds):
                tally.time("freshness", f"kind-{kind}", 0.04)
            key = ErrorKey(
                "fetch", "RetryableError: https://api.example/… answered 502", "IssueProcessor", "issue"
            )
            tally.fail(key, "7")
            at = now - timedelta(seconds=5 * age)
            process = Process(name, name, "machine", 4711, START)
            sample = tally.sample(process, at, 5.0, paused={}, in_flight=8, backlog=BACKLOG, leaving=False)
            history.add([sample])
    return history.overview(BACKLOG, now)


def shown(dashboard: Dashboard, width: int, height: int = 100) -> list[str]:
    console = Console(width=width, height=height, force_terminal=True, no_color=True, highlight=False)
    with console.capture() as capture:
        console.print(dashboard)
    return re.sub(r"\x1b\[[0-9;]*m", "", capture.get()).splitlines()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_it_tells_all_that_matters_within_the_width(width: int) -> None:
    lines = shown(Dashboard(overview(), "/var/lib/tidegate/tidegate.db"), width)
    assert all(len(line) <= width for line in lines)
    text = " ".join(" ".join(lines).split())
    for part in (
        "2 processes",
        "received → routed → fetched → mapped → written",
        "100/s",
        "1,200 waiting, 16 in flight, the oldest 1 min, 3 dead letters",
        "2/s refused",
        "2/s failing",
        "the last hour",
        "freshness p99",
        "kind-1",
        "39 ms",
        "answered 502",
        "worker-1 machine 4711",
    ):
        assert part in text, part


@pytest.mark.parametrize("height", [10, 15, 24, 40])
def test_live_it_keeps_to_the_height_and_the_hint_is_there(height: int) -> None:
    lines = shown(Dashboard(overview(kinds=30), "tidegate.db", hint="Ctrl-C ends"), 80, height)
    assert len(lines) <= height
    assert lines[-1] == "Ctrl-C ends"
    assert "received" in " ".join(lines)


def test_what_is_paused_stands_at_the_top_with_the_reason() -> None:
    paused = replace(overview(), paused=(Pause("target", "Port answered 503", ("worker-1",)),))
    assert shown(Dashboard(paused, "tidegate.db"), 80)[1] == "paused: target  Port answered 503"


def test_without_processes_and_samples_it_says_so() -> None:
    lines = shown(Dashboard(History().overview(Backlog(), START), "tidegate.db"), 80)
    assert "0 processes" in lines[0]
    assert "0 waiting, 0 in flight, 0 dead letters" in " ".join(lines)


def test_silent_processes_are_told_in_the_first_line() -> None:
    later = replace(overview(), at=START)
    silent = replace(later, processes=tuple(replace(each, state="silent") for each in later.processes))
    assert "0 processes, 2 silent" in shown(Dashboard(silent, "tidegate.db"), 80)[0]


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([], 5, ""),
        ([0, 0, 0], 5, "▁▁▁"),
        ([0, 1, 2, 4, 8], 5, "▁▂▃▅█"),
        ([None, 1.0, None], 5, " █ "),
        ([0, 0, 9, 0, 0, 0], 3, "▁█▁"),
        ([5, 5], 0, ""),
    ],
)
def test_sparklines(values: list[float | None], width: int, line: str) -> None:
    assert sparkline(values, width) == line


class Terminal:
    """A command in a terminal of its own, and what stands on it."""

    def __init__(self, directory: Path, *arguments: str, columns: int = 100, lines: int = 40) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (lines, columns))
        env = {
            name: value
            for name, value in environment().items()
            if name not in ("COLUMNS", "LINES", "NO_COLOR")
        }
        command = [sys.executable, "-m", "tidegate", *arguments]
        self.process = subprocess.Popen(
            command, cwd=directory, env={**env, "TERM": "xterm"}, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        self.text = ""

    def until(self, holds: Callable[[str], bool], seconds: float = 30.0) -> str:
        """Read until what was read fits."""
        deadline = time.monotonic() + seconds
        while not holds(self.text):
            assert time.monotonic() < deadline, self.text[-3000:]
            if select.select([self._master], [], [], 0.5)[0]:
                try:
                    self.text += os.read(self._master, 65536).decode(errors="replace")
                except OSError:  # the other side is closed
                    assert holds(self.text), self.text[-3000:]
        return self.text

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 30
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.text[-3000:]
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self._master, 65536).decode(errors="replace")
                except OSError:
                    break
        code = self.process.wait(30)
        os.close(self._master)
        return code


def test_in_a_real_terminal_it_follows_a_real_service(tmp_path: Path) -> None:
    directory = write_integration(tmp_path / "integration")
    with Service(directory) as service:
        terminal = Terminal(directory, "status", "--watch", "--interval", "0.2")
        terminal.until(lambda text: "Ctrl-C ends" in text)
        assert "\x1b[?1049h" in terminal.text  # a screen of its own
        for number in range(5):
            assert service.post({"id": number, "title": "T", "state": "open"}) == 202
        terminal.until(lambda text: re.search(r"issue +[\d.]+ ms", text) is not None)
        assert terminal.interrupt() == 0
        assert "\x1b[?1049l" in terminal.text  # and what stood there before comes back
        assert "Traceback" not in terminal.text
        service.terminate()


def test_for_programs_it_prints_a_document_a_line(tmp_path: Path) -> None:
    directory = write_integration(tmp_path / "integration")
    with Service(directory) as service:
        command = [sys.executable, "-m", "tidegate", "status", "--watch", "--json", "--interval", "0.2"]
        process = subprocess.Popen(command, cwd=directory, env=environment(), stdout=subprocess.PIPE)
        assert process.stdout is not None
        documents = [msgspec.json.decode(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        process.stdout.close()
        assert process.wait(30) == 0
        assert all("backlog" in each and "series" in each for each in documents)
        service.terminate()
