"""The operations API's routes of the mapping playground: what a mapping would do. Nothing is written."""

from collections.abc import Sequence
from typing import Annotated, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidegate.console.answers import MAX_NUMBER, Text, json_response
from tidegate.console.documents import document
from tidegate.core.events import Json
from tidegate.core.previews import DryRun, ItemsPreview

MAX_LAST = 10_000
MAX_SECONDS = 60.0


class MappingPreviews(Protocol):
    """What a mapping makes of recorded items, or of items that somebody typed in.

    All raise ConfigurationError for a mapping that is wrong, and NotFoundError.
    """

    async def of_event(self, text: str, event_id: str) -> list[ItemsPreview]: ...

    async def of_run(self, text: str, run_id: int) -> ItemsPreview: ...

    async def of_items(self, text: str, kind: str, items: Sequence[Json]) -> ItemsPreview: ...


class MappingDryRuns(Protocol):
    """What would change if a mapping were deployed."""

    @property
    def previews(self) -> MappingPreviews: ...

    async def deploy(self, text: str, last: int, seconds: float) -> DryRun: ...


class PreviewRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A mapping (a whole file, or one resource config), and one of: an event, a run, or a kind with items."""

    mapping: str
    event: Text | None = None
    run: Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)] | None = None
    kind: str | None = None
    items: list[Json] = msgspec.field(default_factory=list[Json])


class DryRunRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A mapping, and by how many runs it is judged, for how long at most."""

    mapping: str
    last: Annotated[int, msgspec.Meta(ge=1, le=MAX_LAST)] = 500
    seconds: Annotated[float, msgspec.Meta(gt=0, le=MAX_SECONDS)] = 30.0


class MappingRoutes:
    """POST, because mappings do not fit into URLs."""

    def __init__(self, dry_runs: MappingDryRuns) -> None:
        self._dry_runs = dry_runs

    def routes(self) -> list[Route]:
        return [
            Route("/api/mapping/preview", self.preview, methods=["POST"]),
            Route("/api/mapping/dry-run", self.dry_run, methods=["POST"]),
        ]

    async def preview(self, request: Request) -> Response:
        wanted = msgspec.json.decode(await request.body(), type=PreviewRequest)
        previews = self._dry_runs.previews
        match wanted:
            case PreviewRequest(event=str(event_id), run=None, kind=None):
                found = await previews.of_event(wanted.mapping, event_id)
            case PreviewRequest(event=None, run=int(run_id), kind=None):
                found = [await previews.of_run(wanted.mapping, run_id)]
            case PreviewRequest(event=None, run=None, kind=str(kind)):
                found = [await previews.of_items(wanted.mapping, kind, wanted.items)]
            case _:
                raise msgspec.ValidationError("name one of `event`, `run`, or `kind` with `items`")
        return json_response({"previews": document(found)})

    async def dry_run(self, request: Request) -> Response:
        wanted = msgspec.json.decode(await request.body(), type=DryRunRequest)
        found = await self._dry_runs.deploy(wanted.mapping, wanted.last, wanted.seconds)
        return json_response({**document(found), "differs": found.differs})
