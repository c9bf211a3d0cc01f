"""The catalog's read API, in the shapes of Port's: routes for the admin listener.

Port's API reference: "Get all entities of a blueprint", "Get an entity", "Search entities", "Search a
blueprint's entities". Ours alone: `limit` and `from` are taken by every listing.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from urllib.parse import unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from tidegate.core.entities import EntityRef
from tidegate.core.errors import NotFoundError, TargetUnavailableError
from tidegate.core.events import Json
from tidegate.core.ports import Clock
from tidegate.targets.catalog.documents import (
    SLICE,
    Position,
    Selection,
    blueprint_documents,
    entity_document,
    entity_slice,
    matching_blueprints,
    position_from,
)
from tidegate.targets.catalog.readers import Readers
from tidegate.targets.catalog.rule_parsing import QueryError, parse_query
from tidegate.targets.catalog.target import CatalogTarget
from tidegate.targets.shapes import is_array, is_object, shown

MAX_BODY_BYTES = 1024 * 1024
MAX_LIMIT = 1000
DEFAULT_LIMIT = 200
"""Page size of a blueprint's search (Port's API reference); other listings have no limit unless one is sent."""

_PREFIX = "/v1/blueprints/"

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class ReadApi:
    """Answers requests from the catalog's readers."""

    readers: Readers
    clock: Clock

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/blueprints", _guarded(self._blueprints)),
            Route(f"{_PREFIX}{{address:path}}", _guarded(self._of_blueprint), methods=["GET", "POST"]),
            Route("/v1/entities/search", _guarded(self._search), methods=["POST"]),
        ]

    async def _blueprints(self, _: Request) -> Response:
        return _json({"ok": True, "blueprints": await self.readers.read(blueprint_documents)})

    async def _of_blueprint(self, request: Request) -> Response:
        blueprint, *rest = _segments(request)
        documents = await self.readers.read(lambda database: blueprint_documents(database, blueprint))
        if not documents:
            raise NotFoundError(f"blueprint {blueprint} was not found")
        match request.method, rest:
            case "POST", ["entities", "search"]:
                return await self._search_blueprint(request, blueprint)
            case "GET" | "HEAD", []:
                return _json({"ok": True, "blueprint": documents[0]})
            case "GET" | "HEAD", ["entities"]:
                return await self._listing(request, Selection(blueprint), {})
            case "GET" | "HEAD", ["entities", *identifier]:
                return await self._entity(EntityRef(blueprint, "/".join(identifier)))
            case _:
                raise NotFoundError(f"there is no {request.method} {request.url.path}")

    async def _entity(self, ref: EntityRef) -> Response:
        document = await self.readers.read(lambda database: entity_document(database, ref))
        if document is None:
            raise NotFoundError(f"entity {ref} was not found")
        return _json({"ok": True, "entity": document})

    async def _search(self, request: Request) -> Response:
        selection = Selection(rule=parse_query(await _body(request), self.clock.now()))
        matching = await self.readers.read(lambda database: matching_blueprints(database, selection))
        return await self._listing(request, selection, {"matchingBlueprints": matching})

    async def _search_blueprint(self, request: Request, blueprint: str) -> Response:
        body = await _body(request)
        if not is_object(body):
            raise QueryError(f"the body must be an object, not {shown(body)}")
        query = body.get("query")
        rule = None if query is None else parse_query(query, self.clock.now())
        include, exclude = (_fields(body.get(name), name) for name in ("include", "exclude"))
        limit = _limit(body.get("limit", DEFAULT_LIMIT))
        after = _after(body.get("from"))
        return await self._page(Selection(blueprint, rule, include, exclude), after, limit, {})

    async def _listing(self, request: Request, selection: Selection, more: dict[str, Json]) -> Response:
        """Everything that is selected, or a page of it if a limit is sent."""
        query = request.query_params
        selection = replace(
            selection,
            include=frozenset(query.getlist("include")),
            exclude=frozenset(query.getlist("exclude")),
        )
        after = _after(query.get("from"))
        if "limit" in query:
            return await self._page(selection, after, _limit(query["limit"]), more)
        first = await self._slice(selection, after, SLICE)
        return StreamingResponse(self._stream(selection, first, more), media_type="application/json")

    async def _page(
        self, selection: Selection, after: Position, limit: int, more: dict[str, Json]
    ) -> Response:
        entities, following = await self._slice(selection, after, limit)
        token = {} if following is None else {"next": following.token()}
        return _json({"ok": True, "entities": entities, **token, **more})

    async def _stream(
        self,
        selection: Selection,
        first: tuple[list[dict[str, Json]], Position | None],
        more: dict[str, Json],
    ) -> AsyncGenerator[bytes]:
        entities, following = first
        yield b'{"ok":true,"entities":' + msgspec.json.encode(entities)[:-1]
        while following is not None:
            entities, following = await self._slice(selection, following, SLICE)
            if entities:
                yield b"," + msgspec.json.encode(entities)[1:-1]
        yield b"]" + b"".join(
            b"," + msgspec.json.encode(name) + b":" + msgspec.json.encode(value)
            for name, value in more.items()
        )
        yield b"}"

    async def _slice(
        self, selection: Selection, after: Position, limit: int
    ) -> tuple[list[dict[str, Json]], Position | None]:
        return await self.readers.read(lambda database: entity_slice(database, selection, after, limit))


def catalog_routes(catalog: CatalogTarget) -> list[BaseRoute]:
    """The read API of a catalog, to be mounted at the root of a Starlette application."""
    return ReadApi(catalog.readers, catalog.clock).routes()


def _guarded(handler: Handler) -> Handler:
    """Answer errors in Port's shape."""

    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except NotFoundError as error:
            return _error(404, "not_found", str(error))
        except QueryError as error:
            return _error(422, "invalid_request", str(error))
        except TargetUnavailableError as error:
            return _error(503, "unavailable", str(error))

    return guarded


def _json(body: dict[str, Json], status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _error(status: int, error: str, message: str) -> Response:
    return _json({"ok": False, "error": error, "message": message}, status)


def _segments(request: Request) -> list[str]:
    """What follows /v1/blueprints/, decoded piece by piece, so that %2F stays inside its piece."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    _, _, address = raw.partition(b"?")[0].decode("latin-1").partition(_PREFIX)
    return [unquote(piece) for piece in address.split("/")]


async def _body(request: Request) -> Json:
    document = bytearray()
    async for chunk in request.stream():
        document += chunk
        if len(document) > MAX_BODY_BYTES:
            raise QueryError(f"the body is larger than {MAX_BODY_BYTES} bytes")
    try:
        return msgspec.json.decode(document)
    except (msgspec.DecodeError, RecursionError) as error:
        raise QueryError(f"the body is not JSON: {error}") from None


def _limit(value: Json) -> int:
    try:
        limit = int(value)
    except (TypeError, ValueError):
        limit = 0
    if not 1 <= limit <= MAX_LIMIT:
        raise QueryError(f"limit must be a number from 1 to {MAX_LIMIT}, not {shown(value)}")
    return limit


def _after(token: Json) -> Position:
    if token is None:
        return Position()
    if not isinstance(token, str):
        raise QueryError(f"from must be the `next` of an earlier answer, not {shown(token)}")
    return position_from(token)


def _fields(names: Json, where: str) -> frozenset[str]:
    """`$title` is a field of the entity; a name without $ is a property or a relation."""
    if names is None:
        return frozenset()
    if not is_array(names) or not all(isinstance(name, str) for name in names):
        raise QueryError(f"{where} must be an array of field names, not {shown(names)}")
    fields: set[str] = set()
    for name in map(str, names):
        fields |= {name[1:]} if name.startswith("$") else {f"properties.{name}", f"relations.{name}"}
    return frozenset(fields)
