"""Dead letters: by cause, each with what to do about it, and the means to do it."""

import asyncio
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from tidegate.console.pages.causes import Cause, cause_key, causes_of
from tidegate.console.pages.mending import Job, Mender, Verb, Wanted, dead_runs
from tidegate.console.pages.queries import QueryError
from tidegate.console.pages.rendering import Renderer, asks_for_a_part
from tidegate.core.errors import NotFoundError
from tidegate.core.inspection import RunRecord
from tidegate.core.ports import Clock, EngineOperations

GROUPED = 2_000
"""So many of the newest dead letters are grouped; the page says so if there are more."""

EXAMPLES = 50
KEPT_SECONDS = 30.0
"""How long a grouping is shown again, while the number of dead letters stays the same."""

COST_FACTOR = 50
"""Otherwise it is kept for so many times as long as it took: grouping costs a fiftieth of a core at most."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """Causes, made of `grouped` dead letters when there were `total`."""

    causes: list[Cause]
    grouped: int
    total: int
    made_at: float
    took_seconds: float

    def serves(self, total: int, now: float) -> bool:
        """True if it need not be made anew."""
        same = total == self.total
        return now - self.made_at < (KEPT_SECONDS if same else self.took_seconds * COST_FACTOR)


@dataclass(slots=True)
class DeadLetterPages:
    """The list of causes, and what is done about them."""

    engine: EngineOperations
    clock: Clock
    render: Renderer
    _mender: Mender = field(init=False)
    _last: Grouping | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._mender = Mender(self.engine)

    async def listing(self, request: Request) -> Response:
        return await self._page(request, None, "list")

    async def mend(self, request: Request) -> Response:
        """Redrive or discard what the form names; the answer tells how far it came."""
        try:
            verb = Verb(request.path_params["verb"])
        except ValueError:
            raise NotFoundError(f"there is no {request.url.path}") from None
        form = parse_qs((await request.body()).decode())
        job = self._mender.start(verb, _wanted(form))
        return await self._page(request, job, "job")

    async def progress(self, request: Request) -> Response:
        job = self._mender.find(request.path_params["number"])
        if job is None:
            raise NotFoundError("this work is not remembered any more: the list shows what is left")
        if job.finished:
            self._last = None  # the list is about to be asked for, and must show what was done
        return await self._page(request, job, "job")

    async def _page(self, request: Request, job: Job | None, fragment: str) -> Response:
        if fragment == "job" and asks_for_a_part(request):
            return await self.render.answer(request, "dead_letters.html", {"job": job}, fragment="job")
        found = await self._grouping()
        values = {"causes": found.causes, "total": found.total, "grouped": found.grouped, "job": job}
        return await self.render.answer(request, "dead_letters.html", values, fragment="list")

    async def _grouping(self) -> Grouping:
        async with self._turn:  # several pages, one reading
            total, now = (await self.engine.backlog()).dead_runs, self.clock.monotonic()
            last = self._last
            if last is None or not last.serves(total, now):
                members: dict[str, list[RunRecord]] = {}
                async for run in dead_runs(self.engine, Wanted(), GROUPED):
                    members.setdefault(cause_key(run), []).append(run)
                count = sum(map(len, members.values()))
                took = self.clock.monotonic() - now
                last = self._last = Grouping(causes_of(members, EXAMPLES), count, total, now, took)
            return last


def _wanted(form: dict[str, list[str]]) -> Wanted:
    """Ids, a cause, or all: a form that names nothing does nothing."""
    ids = tuple(int(text) for text in form.get("run", []) if text.isdecimal())
    if ids:
        return Wanted(ids=ids)
    cause = form.get("cause", [""])[0]
    if cause:
        return Wanted(cause=cause)
    if form.get("all") == ["yes"]:
        return Wanted()
    raise QueryError("choose at least one dead letter")
