"""The JQ worker process: compiles and evaluates closed programs until its input ends. The only home of jq.

It is started as a script and imports nothing of Tidegate, so that it is ready in milliseconds and holds no
secret. Whatever an expression does, it does here: within a memory limit, without files, and with an alarm
that ends the process should the parent not be there to do so.

A frame is its length, then its header's length (4 bytes each, big endian), the header as JSON, the body.
Request: {"limit": seconds, "largest": bytes, "sections": [[program id, text or null, [document length, …]], …]}
with the documents as body. Reply: {"sections": [[length, seconds, compile error or null], …]}; the body holds
for each section a JSON list with, for each document, the list of the program's outputs or {"e": message}.
"""

import json
import mmap
import os
import resource
import signal
import struct
import sys
import time
from typing import Any, Protocol, cast

_LENGTH = struct.Struct(">I")
POSITION = struct.Struct("=II")
"""The section and the document in hand, for the parent to see when this process is stuck or dead."""

ALARM_GRACE_SECONDS = 1.0


class Results(Protocol):
    """What a program gives for an input. `all` raises ValueError and others for the program's own errors."""

    def all(self) -> list[str]: ...


class Program(Protocol):
    """A compiled program of the jq binding."""

    def input_text(self, text: str) -> Results: ...


class Jq(Protocol):
    """What is used of the jq binding."""

    def compile(self, program: str) -> Program: ...


class Worker:
    """Answers requests. `position` is memory shared with the parent."""

    def __init__(self, jq: Jq, position: mmap.mmap) -> None:
        self._jq = jq
        self._position = position
        self._programs: dict[int, Program] = {}

    def answer(self, request: bytes) -> bytes:
        """The reply to a request, both without their leading length."""
        (header_length,) = _LENGTH.unpack_from(request)
        at = _LENGTH.size + header_length
        header = json.loads(request[_LENGTH.size : at])
        sections: list[list[Any]] = []
        bodies: list[bytes] = []
        for number, (program_id, text, lengths) in enumerate(header["sections"]):
            began = time.monotonic()
            self._begin(number, 0, header["limit"])
            error = self._load(program_id, text)
            outputs: list[bytes] = []
            for index, length in enumerate(lengths if error is None else []):
                self._begin(number, index, header["limit"])
                document = request[at : at + length].decode()
                outputs.append(_output(self._programs[program_id], document, header["largest"]))
                at += length
            at += sum(lengths[len(outputs) :])
            bodies.append(b"[" + b",".join(outputs) + b"]")
            sections.append([len(bodies[-1]), time.monotonic() - began, error])
        signal.setitimer(signal.ITIMER_REAL, 0)
        reply = json.dumps({"sections": sections}).encode()
        return _LENGTH.pack(len(reply)) + reply + b"".join(bodies)

    def _begin(self, section: int, document: int, limit_seconds: float) -> None:
        """Note what is in hand, and have the kernel end this process if it takes too long."""
        POSITION.pack_into(self._position, 0, section, document)
        signal.setitimer(signal.ITIMER_REAL, limit_seconds + ALARM_GRACE_SECONDS)

    def _load(self, program_id: int, text: str | None) -> str | None:
        """Compile a program that the parent sends for the first time; id 0 is compiled and forgotten."""
        if text is None:
            return None if program_id in self._programs else "the program does not compile"
        try:
            program = self._jq.compile(text)
        except ValueError as error:
            return str(error)
        except MemoryError:
            return "needs too much memory"
        if program_id:
            self._programs[program_id] = program
        return None


def _output(program: Program, document: str, largest_bytes: int) -> bytes:
    try:
        text = ",".join(program.input_text(document).all()).encode()
    except MemoryError:
        return b'{"e":"needs too much memory"}'
    except Exception as error:  # noqa: BLE001 - jq raises several kinds; each is this document's own
        return json.dumps({"e": str(error)[:300]}).encode()
    if len(text) > largest_bytes:
        return json.dumps({"e": f"gave {len(text)} bytes, more than the limit of {largest_bytes}"}).encode()
    return b"[" + text + b"]"


def restrict(memory_bytes: int) -> None:
    """Limit memory, forbid new files, files' growth, children and core dumps; stop only at the input's end."""
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    limits = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_NOFILE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))


def _read(length: int) -> bytes:
    """Exactly so many bytes of the standard input; fewer if it ends."""
    chunks: list[bytes] = []
    while length > 0 and (chunk := os.read(0, min(length, 1 << 20))):
        chunks.append(chunk)
        length -= len(chunk)
    return b"".join(chunks)


def _write(frame: bytes) -> None:
    view = memoryview(_LENGTH.pack(len(frame)) + frame)
    while view:
        view = view[os.write(1, view) :]


def main(arguments: list[str]) -> None:
    """Serve frames. Arguments: memory limit in bytes, niceness, position file, directory that holds jq."""
    memory_bytes, niceness, position_file, jq_directory = arguments
    sys.path.append(jq_directory)
    try:
        import jq
    except ImportError as error:
        _write(str(error).encode())
        return
    os.nice(int(niceness))
    position = mmap.mmap(int(position_file), POSITION.size)
    os.close(int(position_file))
    restrict(int(memory_bytes))
    _write(b"")
    worker = Worker(cast(Jq, jq), position)
    while len(size := _read(_LENGTH.size)) == _LENGTH.size:
        _write(worker.answer(_read(*_LENGTH.unpack(size))))


if __name__ == "__main__":
    main(sys.argv[1:])
