"""The console's pages on the admin listener, or, without the extra `console`, how to get them."""

from collections.abc import Awaitable, Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from tidegate.core.entities import EntityRef
from tidegate.core.events import Json
from tidegate.core.overviews import Overview
from tidegate.core.ports import Clock, EngineOperations, EntityTarget
from tidegate.pipeline.dry_runs import DryRuns
from tidegate.targets.catalog import CatalogTarget
from tidegate.targets.catalog.documents import entity_document

HOW_TO = (
    "The console needs the extra `console`: pip install 'tidegate[console]', then start Tidegate again.\n"
)


def console_pages(
    engine: EngineOperations,
    clock: Clock,
    name: str,
    *,
    overview: Callable[[], Awaitable[Overview]],
    paused: Callable[[], dict[str, str]],
    reasons: Callable[[], Sequence[str]],
    replay: Callable[[str], Awaitable[str]],
    dry_runs: DryRuns,
    mapping_file: Path,
    target: EntityTarget | None,
    signs_out: bool,
) -> Sequence[BaseRoute]:
    """Routes for the admin listener. `target` is read if it is the embedded catalog."""
    if find_spec("jinja2") is None:
        return [Route("/console", _missing), Route("/console/{rest:path}", _missing)]
    from tidegate.console.pages.routes import ConsoleParts, console_routes  # needs the extra

    async def entity(ref: EntityRef) -> Json:
        assert isinstance(target, CatalogTarget)  # noqa: S101 - it is passed on only then
        found = await target.readers.read(lambda database: entity_document(database, ref))
        return msgspec.json.decode(msgspec.json.encode(found))  # parts of it are kept as text

    return console_routes(
        ConsoleParts(
            engine=engine,
            clock=clock,
            name=name,
            overview=overview,
            paused=paused,
            reasons=reasons,
            replay=replay,
            dry_runs=dry_runs,
            mapping_text=lambda: _text_of(mapping_file),
            catalog=entity if isinstance(target, CatalogTarget) else None,
            signs_out=signs_out,
        )
    )


def _text_of(file: Path) -> str:
    """A file's text; empty if it cannot be read, as where the console runs without the integration."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return ""


async def _missing(_: Request) -> Response:
    return PlainTextResponse(HOW_TO, 501)
