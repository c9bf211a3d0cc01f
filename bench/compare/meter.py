"""CPU and memory of a process and all that it started, read from /proc. The bench itself is never counted."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
_WHOLE_PROCESS = 2
"""CPUCLOCK_SCHED of clock_getcpuclockid(3), exact to the nanosecond, which /proc is not."""
_SAMPLE_SECONDS = 0.25


def tree(pids: list[int]) -> Iterator[int]:
    """These processes and their living descendants."""
    for pid in pids:
        yield pid
        children: list[int] = []
        with suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError):
                    children += map(int, (task / "children").read_text().split())
        yield from tree(children)


def cpu_seconds(pids: list[int]) -> float:
    """CPU spent by the tree so far, by descendants that have ended too."""
    seconds = 0.0
    for pid in tree(pids):
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            seconds += sum(map(int, fields[13:15])) * _TICK_SECONDS  # of ended children, user and system
            seconds += time.clock_gettime((~pid << 3) | _WHOLE_PROCESS)
    return seconds


def memory_mib(pids: list[int]) -> float:
    """Memory of the tree, pages that several share counted once."""
    kib = 0
    for pid in tree(pids):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kib += int(line.split()[1])
    return kib / 1024


class MemoryWatch:
    """Samples the tree's memory while it is entered; `peak_mib` is the largest sample."""

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_mib = 0.0

    def _watch(self) -> None:
        while True:
            self.peak_mib = max(self.peak_mib, memory_mib(self._pids))
            if self._ended.wait(_SAMPLE_SECONDS):
                return

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
