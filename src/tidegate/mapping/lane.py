"""A queue before JQ worker processes: what waits while a process is busy goes to it in one frame.

Whoever's document stops the process is told so; all others are sent again and notice nothing.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast

import msgspec

from tidegate.core.errors import MapperUnavailableError
from tidegate.core.events import Json
from tidegate.mapping.process import JqProcess, MapperLimits, StoppedError

_FRAME_DOCUMENTS = 64
_FRAME_BYTES = 2 << 20
_LENGTH_BYTES = 4

Output: TypeAlias = list[Json] | dict[str, str]
"""What a program gave for a document: its outputs, or {"e": why there are none}."""


class CompileError(Exception):
    """The program is no JQ; the message is jq's."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program's text. Processes keep what they compiled by `id`; id 0 is compiled and forgotten."""

    id: int
    text: str


class Programs:
    """Gives out ids, unique among the processes of one mapper."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)

    def new(self, text: str) -> Program:
        return Program(next(self._ids), text)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a program gave for some documents; None where it cannot be read (too deep, out of range)."""

    outputs: list[Output] | None
    duration_seconds: float


@dataclass(slots=True)
class _Request:
    program: Program
    documents: Sequence[bytes]
    limit_seconds: float
    answer: asyncio.Future[Evaluation]
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = sum(map(len, self.documents))


class Lane:
    """Evaluates programs in up to `workers` processes, started when first needed."""

    def __init__(self, limits: MapperLimits, workers: int, niceness: int = 0) -> None:
        self._limits = limits
        self._workers = workers
        self._niceness = niceness
        self._waiting: deque[_Request] = deque()
        self._idle: list[JqProcess] = []
        self._busy: set[asyncio.Task[None]] = set()
        self._closed = False

    async def evaluate(
        self, program: Program, documents: Sequence[bytes], limit_seconds: float | None = None
    ) -> Evaluation:
        """Evaluate a program for some documents (a few dozen at most, so that others get their turn).

        Raises CompileError; StoppedError if one of the documents (its number is in the error) stopped the
        process; MapperUnavailableError.
        """
        if self._closed:
            raise MapperUnavailableError("the mapper is closed")
        answer: asyncio.Future[Evaluation] = asyncio.get_running_loop().create_future()
        limit = limit_seconds or self._limits.item_timeout_seconds
        self._waiting.append(_Request(program, documents, limit, answer))
        if len(self._busy) < self._workers:
            self._busy.add(asyncio.create_task(self._serve()))
        return await answer

    async def close(self) -> None:
        """End all processes. What waits is told that the mapper is unavailable."""
        self._closed = True
        serving = list(self._busy)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        for process in self._idle:
            await process.close()
        self._idle.clear()
        self._refuse(MapperUnavailableError("the mapper is closed"), self._waiting)

    async def _serve(self) -> None:
        """Lend a process to what waits, frame by frame, until nothing waits."""
        process: JqProcess | None = None
        batch: list[_Request] = []
        try:
            while self._waiting:
                process = await self._ready(process)
                batch = self._next_batch()
                if batch and not await self._answer(process, batch):
                    process = None
        except MapperUnavailableError as error:
            self._refuse(error, self._waiting)
        except BaseException:
            self._refuse(MapperUnavailableError("the mapper was stopped"), (*batch, *self._waiting))
            if process is not None:
                await process.close()
            raise
        else:
            if process is not None:
                self._idle.append(process)
        finally:  # at once: a callback would run after those who wait for the answer, and ask again
            self._busy.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _ready(self, process: JqProcess | None) -> JqProcess:
        """The process that is at hand if it is alive, else an idle one, else a new one."""
        while process is not None or self._idle:
            process = process or self._idle.pop()
            if process.alive:
                return process
            await process.close()
            process = None
        return await JqProcess.start(self._limits, self._niceness)

    def _next_batch(self) -> list[_Request]:
        """The oldest requests of one time limit, as far as they fit into a frame; at least one."""
        batch: list[_Request] = []
        documents = size = 0
        while self._waiting:
            request = self._waiting[0]
            if request.answer.done():  # whoever asked has gone
                self._waiting.popleft()
                continue
            documents += max(len(request.documents), 1)
            size += request.size
            if batch and (
                documents > _FRAME_DOCUMENTS
                or size > _FRAME_BYTES
                or request.limit_seconds != batch[0].limit_seconds
            ):
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _answer(self, process: JqProcess, batch: list[_Request]) -> bool:
        """Have a batch evaluated. False if the process is gone; what it did not do then waits again."""
        frame = _frame(process, batch, self._limits.result_bytes)
        try:
            reply = await process.exchange(frame, batch[0].limit_seconds)
        except StoppedError as error:
            suspect = batch[error.section]
            _fail(suspect, error)
            self._waiting.extendleft(request for request in reversed(batch) if request is not suspect)
            return False
        for request, (evaluation, error) in zip(batch, _sections(reply), strict=True):
            if error is not None:
                _fail(request, CompileError(error))
            else:
                process.programs.add(request.program.id)
                if not request.answer.done():
                    request.answer.set_result(evaluation)
        return True

    def _refuse(self, error: MapperUnavailableError, requests: Iterable[_Request]) -> None:
        for request in requests:
            _fail(request, error)
        self._waiting.clear()


def _fail(request: _Request, error: Exception) -> None:
    if not request.answer.done():
        request.answer.set_exception(error)


def _frame(process: JqProcess, batch: Sequence[_Request], largest_bytes: int) -> bytes:
    sent: set[int] = set()
    sections: list[tuple[int, str | None, list[int]]] = []
    for request in batch:
        program = request.program
        known = program.id and (program.id in process.programs or program.id in sent)
        sections.append((program.id, None if known else program.text, list(map(len, request.documents))))
        sent.add(program.id)
    header = msgspec.json.encode(
        {"limit": batch[0].limit_seconds, "largest": largest_bytes, "sections": sections}
    )
    documents = (document for request in batch for document in request.documents)
    return b"".join((len(header).to_bytes(_LENGTH_BYTES, "big"), header, *documents))


def _sections(reply: bytes) -> list[tuple[Evaluation, str | None]]:
    at = _LENGTH_BYTES + int.from_bytes(reply[:_LENGTH_BYTES], "big")
    sections: list[tuple[Evaluation, str | None]] = []
    for length, duration_seconds, error in msgspec.json.decode(reply[_LENGTH_BYTES:at])["sections"]:
        outputs = _outputs(memoryview(reply)[at : at + length])
        sections.append((Evaluation(outputs, duration_seconds), error))
        at += length
    return sections


def _outputs(body: memoryview) -> list[Output] | None:
    try:
        return cast(list[Output], msgspec.json.decode(body))
    except (msgspec.MsgspecError, RecursionError):
        return None
