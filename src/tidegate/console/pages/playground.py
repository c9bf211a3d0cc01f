"""The mapping playground: recorded items, a mapping that can be edited, and what it would do. Nothing is written."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from tidegate.console.documents import document
from tidegate.console.pages.queries import QueryError
from tidegate.console.pages.rendering import Renderer, asks_for_a_part
from tidegate.core.differences import FieldChange
from tidegate.core.entities import EntityRef
from tidegate.core.errors import NotFoundError, TidegateError
from tidegate.core.events import Json
from tidegate.core.inspection import Page, RunFilter, RunRecord
from tidegate.core.lifecycle import RunState
from tidegate.core.masking import masked_payload
from tidegate.core.ports import EngineOperations
from tidegate.core.previews import DryRun, EntityPreview, ItemsPreview
from tidegate.core.runs import ROUTING_CONFIG

OFFERED = 40
"""So many of the newest runs are offered to try a mapping on."""

LOOKED_AT = 200
SIZES = (100, 500, 2_000)
DRY_RUN_SECONDS = 60.0
KEPT_TRIALS = 10


class MappingPreviews(Protocol):
    """What a mapping makes of a run's recorded items. Raises ConfigurationError, NotFoundError."""

    async def of_run(self, text: str, run_id: int) -> ItemsPreview: ...


class MappingDryRuns(Protocol):
    """What would change if a mapping were deployed; `progress` is told how many runs are done, and of how many."""

    @property
    def previews(self) -> MappingPreviews: ...

    async def deploy(
        self, text: str, last: int, seconds: float, progress: Callable[[int, int], None]
    ) -> DryRun: ...


@dataclass(frozen=True, slots=True)
class Shown:
    """An entity as it would be: with masked values, against what there is."""

    ref: EntityRef
    fate: str
    reason: str
    document: Json
    changes: tuple[FieldChange, ...]


@dataclass(eq=False, slots=True)
class Trial:
    """A dry run under way. `total` is None until it is known."""

    number: int
    done: int = 0
    total: int | None = None
    result: DryRun | None = None
    error: str = ""
    entities: Sequence[Shown] = ()

    @property
    def finished(self) -> bool:
        return self.result is not None or bool(self.error)

    def progress(self, done: int, total: int) -> None:
        self.done, self.total = done, total


@dataclass(slots=True)
class PlaygroundPages:
    """The page, its live result, and dry runs. `mapping_text` reads the mapping that runs now."""

    engine: EngineOperations
    render: Renderer
    dry_runs: MappingDryRuns
    mapping_text: Callable[[], str]
    _trials: dict[int, Trial] = field(default_factory=dict[int, Trial])
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _last: int = 0

    async def page(self, request: Request) -> Response:
        runs = await self._runs()
        run_id = await self._asked(request, runs)
        if run_id is not None and all(run.id != run_id for run in runs):
            runs.insert(0, (await self.engine.run(run_id)).record)
        text = await asyncio.to_thread(self.mapping_text)
        values = {
            "text": text,
            "runs": runs,
            "run_id": run_id,
            "sizes": SIZES,
            "trial": None,
            **(await self._tried(text, run_id)),
        }
        return await self.render.answer(request, "playground.html", values)

    async def _runs(self) -> list[RunRecord]:
        """The newest applied runs, one for each resource."""
        found = await self.engine.find_runs(RunFilter(state=RunState.APPLIED), Page(LOOKED_AT))
        kept: dict[tuple[str, str], RunRecord] = {}
        for run in found:
            if run.config != ROUTING_CONFIG:
                kept.setdefault((run.config, run.resource_key or str(run.id)), run)
        return list(kept.values())[:OFFERED]

    async def _asked(self, request: Request, runs: list[RunRecord]) -> int | None:
        """The run that the address names, itself or by its event; else the newest."""
        named, event_id = (request.query_params.get(name, "") for name in ("run", "event"))
        if named.isdecimal():
            return (await self.engine.run(int(named))).record.id
        if event_id:
            of_event = (await self.engine.event(event_id)).runs
            if of_event:
                return of_event[0].id
        return runs[0].id if runs else None

    async def preview(self, request: Request) -> Response:
        """The result of what is in the editor now."""
        form = _form(await request.body())
        run = form.get("run", "")
        if not run.isdecimal():
            raise QueryError("choose a run whose items are to be mapped")
        values = {**(await self._tried(form.get("mapping", ""), int(run))), "run_id": int(run), "live": True}
        return await self.render.answer(request, "playground_result.html", values)

    async def _tried(self, text: str, run_id: int | None) -> dict[str, object]:
        """The preview, or what is wrong with the mapping."""
        empty: dict[str, object] = {"preview": None, "entities": (), "items": None, "problem": ""}
        if run_id is None or not text.strip():
            return empty
        items = await self._items(run_id)
        try:
            preview = await self.dry_runs.previews.of_run(text, run_id)
        except TidegateError as error:
            return {**empty, "items": items, "problem": str(error)}
        return {
            **empty,
            "preview": preview,
            "entities": [_shown(each) for each in preview.entities],
            "items": items,
        }

    async def _items(self, run_id: int) -> Json:
        fetched = [attempt for attempt in (await self.engine.run(run_id)).attempts if attempt.fetched]
        return document(fetched[-1])["fetched"] if fetched else None

    async def start(self, request: Request) -> Response:
        """Begin a dry run of what is in the editor now."""
        form = _form(await request.body())
        last = form.get("last", "")
        if last not in map(str, SIZES):
            raise QueryError(f"a dry run is over {', '.join(map(str, SIZES))} runs")
        self._last += 1
        trial = Trial(self._last)
        self._trials[trial.number] = trial
        for number in list(self._trials)[:-KEPT_TRIALS]:
            if self._trials[number].finished:
                del self._trials[number]
        task = asyncio.create_task(
            self._work(trial, form.get("mapping", ""), int(last)), name=f"tidegate-dry-run-{trial.number}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await self._trial(request, trial)

    async def _work(self, trial: Trial, text: str, last: int) -> None:
        try:
            result = await self.dry_runs.deploy(text, last, DRY_RUN_SECONDS, trial.progress)
            trial.entities = [_shown(each) for each in result.entities]
            trial.result = result
        except TidegateError as error:
            trial.error = str(error)
        finally:
            if not trial.finished:
                trial.error = "the dry run was stopped"

    async def progress(self, request: Request) -> Response:
        trial = self._trials.get(request.path_params["number"])
        if trial is None:
            raise NotFoundError("this dry run is not remembered any more: start it again")
        return await self._trial(request, trial)

    async def _trial(self, request: Request, trial: Trial) -> Response:
        if not asks_for_a_part(request):
            raise QueryError("dry runs are shown in the playground")
        return await self.render.answer(request, "playground_trial.html", {"trial": trial})


def _form(body: bytes) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}


def _shown(entity: EntityPreview) -> Shown:
    changes = tuple(
        FieldChange(each.field, each.fate, _masked(each.field, each.before), _masked(each.field, each.after))
        for each in entity.changes
    )
    return Shown(entity.ref, entity.fate.value, entity.reason, masked_payload(entity.document), changes)


def _masked(name: str, value: Json) -> Json:
    """The value of a field, masked if its name sounds like a secret."""
    last = name.rpartition(".")[2]
    return masked_payload({last: value})[last]
