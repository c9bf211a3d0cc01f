"""Where a process stands that does not answer: its interpreter is held, but a signal still writes its stack down."""

import faulthandler
import os
import re
import signal
import sysconfig
import time
from contextlib import suppress
from pathlib import Path

PATIENCE_SECONDS = 0.5
_LOOK_SECONDS = 0.01
_SHOWN_FRAMES = 3
_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in (?P<function>.+)$', re.MULTILINE)
_NOT_THE_AUTHORS = (str(Path(__file__).parents[1]), sysconfig.get_path("stdlib"), "<")


def write_stack_on_demand(file: Path) -> None:
    """Let SIGUSR2 write this process's stack to a file, even while no Python code can run."""
    faulthandler.register(signal.SIGUSR2, file=file.open("w"), all_threads=False)


def ask_for_stack(pid: int, file: Path) -> str:
    """The author's frames that the process is in, innermost first, as text; "" if it does not tell."""
    with suppress(OSError):
        os.kill(pid, signal.SIGUSR2)
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            if frames := _authors_frames(file.read_text(errors="replace")):
                return " ← ".join(frames[:_SHOWN_FRAMES])
            time.sleep(_LOOK_SECONDS)
    return ""


def _authors_frames(stack: str) -> list[str]:
    return [
        f"{found['file']}:{found['line']} in {found['function']}"
        for found in _FRAME.finditer(stack)
        if not found["file"].startswith(_NOT_THE_AUTHORS)
    ]
