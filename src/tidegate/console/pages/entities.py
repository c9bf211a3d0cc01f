"""Entities: what the integration wrote, and for each why it is as it is."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeAlias
from urllib.parse import quote, unquote, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tidegate.console.pages.rendering import Renderer
from tidegate.core.differences import FieldChange, differences
from tidegate.core.entities import EntityRef
from tidegate.core.errors import NotFoundError
from tidegate.core.events import Json
from tidegate.core.inspection import EntityFilter, EntityRecord, Page, RunDetail, WriteRecord
from tidegate.core.masking import masked_payload
from tidegate.core.ports import EngineOperations
from tidegate.core.runs import WriteAction

PAGE_ENTITIES = 50
PAGE_WRITES = 25
SEARCH_SECONDS = 0.15

ReadEntity: TypeAlias = Callable[[EntityRef], Awaitable[Json]]
"""An entity as the catalog has it now; None if it has none."""

MAPPED = ("title", "icon", "team", "properties", "relations")
"""What a mapping sets, beside the name."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An entity in a list."""

    record: EntityRecord
    title: str
    address: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Written:
    """A write, and what it changed since the upsert before it. None: there is none to compare with."""

    record: WriteRecord
    changed: tuple[FieldChange, ...] | None


@dataclass(frozen=True, slots=True)
class EntityPages:
    """The list of entities, and the page of one."""

    engine: EngineOperations
    render: Renderer
    catalog: ReadEntity | None

    async def listing(self, request: Request) -> Response:
        blueprint, text = (request.query_params.get(name, "").strip() for name in ("blueprint", "text"))
        after = _after(request.query_params.get("after", ""))
        where = EntityFilter(blueprint or None, text or None)
        found, counts = await asyncio.gather(
            self.engine.search_entities(where, after, PAGE_ENTITIES, SEARCH_SECONDS), self.engine.blueprints()
        )
        asked = {name: value for name, value in (("blueprint", blueprint), ("text", text)) if value}
        resume = ""
        if found.resume is not None:
            resume = urlencode({**asked, "after": msgspec.json.encode(found.resume).decode()})
        values = {
            "entities": [_listed(record) for record in found.records],
            "found": found,
            "blueprints": counts,
            "blueprint": blueprint,
            "text": text,
            "first": after is None,
            "resume": resume,
        }
        return await self.render.answer(request, "entities.html", values, fragment="list")

    async def one(self, request: Request) -> Response:
        ref = _named(request)
        before = request.query_params.get("before", "")
        page = Page(PAGE_WRITES + 1, int(before) if before.isdecimal() else None)
        writes = await self.engine.writes(ref, page)
        current = None if self.catalog is None else await self.catalog(ref)
        if not writes and current is None:
            raise NotFoundError(f"nothing that is still kept wrote {ref}, and the catalog does not have it")
        run = await self._run(writes[0].run_id) if writes else None
        values = {
            "ref": ref,
            "writes": _written(writes),
            "resume": writes[PAGE_WRITES - 1].seq if len(writes) > PAGE_WRITES else None,
            "first": page.before is None,
            "run": run,
            "has_catalog": self.catalog is not None,
            "current": masked_payload(current),
            "drift": _drift(writes, current) if self.catalog is not None and page.before is None else [],
        }
        return await self.render.answer(request, "entity.html", values, fragment="story")

    async def _run(self, run_id: int) -> RunDetail | None:
        try:
            return await self.engine.run(run_id)
        except NotFoundError:
            return None


def entity_address(ref: EntityRef) -> str:
    """The page of an entity."""
    return f"/console/entities/{quote(ref.blueprint, safe='')}/{quote(ref.identifier, safe='')}"


def _listed(record: EntityRecord) -> Listed:
    match _parsed(record.last):
        case {"title": str(title)}:
            pass
        case _:
            title = ""
    anchor = blake2b(str(record.ref).encode(), digest_size=6).hexdigest()
    return Listed(record, title, entity_address(record.ref), anchor)


def _parsed(write: WriteRecord | None) -> Json:
    return (
        None
        if write is None or write.document is None
        else masked_payload(msgspec.json.decode(write.document))
    )


def _written(writes: list[WriteRecord]) -> list[Written]:
    """Each write with its difference to the upsert before it."""
    documents = [_parsed(write) for write in writes]
    shown: list[Written] = []
    for number, write in enumerate(writes[:PAGE_WRITES]):
        older = [document for document in documents[number + 1 :] if document is not None]
        changed = None
        if write.action == WriteAction.UPSERT and older:
            changed = differences(older[0], documents[number])
        shown.append(Written(write, changed))
    return shown


def _drift(writes: list[WriteRecord], current: Json) -> list[FieldChange]:
    """Where the catalog differs from what was written last: somebody else wrote there too."""
    last = next((write for write in writes if write.action in (WriteAction.UPSERT, WriteAction.DELETE)), None)
    if last is None or last.action == WriteAction.DELETE or not isinstance(current, dict):
        return []
    written = _parsed(last)
    found = differences(
        {name: value for name, value in written.items() if name in MAPPED},
        {
            name: value
            for name, value in masked_payload(current).items()
            if name in MAPPED and name in written
        },
    )
    return [each for each in found if not (each.before is None and each.after is None)]


def _after(text: str) -> EntityRef | None:
    try:
        return EntityRef(*msgspec.json.decode(text, type=tuple[str, str])) if text else None
    except msgspec.MsgspecError:
        return None


def _named(request: Request) -> EntityRef:
    """From the address as it was sent, so that an encoded slash stays inside its part."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    address = raw.partition(b"?")[0].decode("latin-1").removeprefix("/console/entities/")
    blueprint, _, identifier = address.partition("/")
    return EntityRef(unquote(blueprint), unquote(identifier))
