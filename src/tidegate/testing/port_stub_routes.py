"""The Port stub's HTTP routes: each checks its request strictly, then asks the stub's catalog."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from aiohttp import web

from tidegate.core.entities import EntityRef, identifier_text
from tidegate.core.events import Json
from tidegate.targets.shapes import is_array, is_object, shown
from tidegate.testing.port_stub_access import Access, check_user_agent
from tidegate.testing.port_stub_catalog import StubCatalog, UpsertFlags
from tidegate.testing.port_stub_faults import FaultPlan
from tidegate.testing.port_stub_rules import Document
from tidegate.testing.port_stub_shapes import StubRefusalError, malformed, read_entity

MAX_BODY_BYTES = 1024 * 1024
MAX_BULK = 20

_WRITE_FLAGS = frozenset({"upsert", "merge", "create_missing_related_entities", "validation_only"})
_READ_FLAGS = frozenset({"exclude_calculated_properties", "include", "exclude", "attach_title_to_relation"})

Route = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(slots=True)
class StubRoutes:
    """The routes that an integration talks to."""

    access: Access
    catalog: StubCatalog
    faults: FaultPlan
    integrations: dict[str, Document] = field(default_factory=dict[str, Document])

    def table(self) -> list[web.RouteDef]:
        blueprint, entity = "/v1/blueprints/{blueprint}", "/v1/blueprints/{blueprint}/entities/{entity}"
        return [
            web.post("/v1/auth/access_token", self._token),
            web.get("/v1/blueprints", self._authorised(self._blueprints)),
            web.post("/v1/blueprints", self._authorised(self._create_blueprint)),
            web.get(blueprint, self._authorised(self._blueprint)),
            web.patch(blueprint, self._authorised(self._patch_blueprint)),
            web.get(f"{blueprint}/entities", self._authorised(self._entities)),
            web.post(f"{blueprint}/entities", self._authorised(self._upsert)),
            web.post(f"{blueprint}/entities/bulk", self._authorised(self._bulk)),
            web.get(entity, self._authorised(self._entity)),
            web.delete(entity, self._authorised(self._delete)),
            web.post("/v1/entities/search", self._authorised(self._search)),
            web.post("/v1/integration", self._authorised(self._create_integration)),
            web.get("/v1/integration/{integration}", self._authorised(self._integration)),
            web.patch("/v1/integration/{integration}", self._authorised(self._patch_integration)),
        ]

    def _authorised(self, route: Route) -> Route:
        async def checked(request: web.Request) -> web.Response:
            self.access.check(request.headers.get("Authorization", ""))
            check_user_agent(request.headers.get("User-Agent", ""))
            return await route(request)

        return checked

    async def _token(self, request: web.Request) -> web.Response:
        return answer(self.access.issue(await _body(request)))

    async def _blueprints(self, request: web.Request) -> web.Response:
        _flags(request, frozenset())
        documents = [blueprint.document for blueprint in self.catalog.blueprints.values()]
        return answer({"ok": True, "blueprints": documents})

    async def _blueprint(self, request: web.Request) -> web.Response:
        blueprint = self.catalog.blueprint(request.match_info["blueprint"])
        return answer({"ok": True, "blueprint": blueprint.document})

    async def _create_blueprint(self, request: web.Request) -> web.Response:
        document = _object(await _body(request))
        if document.get("identifier") in self.catalog.blueprints:
            raise StubRefusalError(409, "identifier_taken", f"blueprint {document['identifier']} exists")
        return answer({"ok": True, "blueprint": self.catalog.put_blueprint(document).document}, 201)

    async def _patch_blueprint(self, request: web.Request) -> web.Response:
        old = self.catalog.blueprint(request.match_info["blueprint"])
        document = {**old.document, **_object(await _body(request))}
        return answer({"ok": True, "blueprint": self.catalog.put_blueprint(document).document})

    async def _entities(self, request: web.Request) -> web.Response:
        name = self.catalog.blueprint(request.match_info["blueprint"]).identifier
        found = [document for ref, document in self.catalog.entities.items() if ref.blueprint == name]
        return answer({"ok": True, "entities": [_answered(document) for document in found]})

    async def _entity(self, request: web.Request) -> web.Response:
        ref = _ref(request)
        document = self.catalog.entities.get(ref)
        if document is None:
            raise StubRefusalError(404, "not_found", f"entity {ref} was not found")
        return answer({"ok": True, "entity": _answered(document)})

    async def _upsert(self, request: web.Request) -> web.Response:
        flags = _upsert_flags(request)
        name = self.catalog.blueprint(request.match_info["blueprint"]).identifier
        document = await _body(request)
        stored, created = self._store(name, document, flags, request)
        return answer({"ok": True, "entity": _answered(stored)}, 201 if created else 200)

    async def _bulk(self, request: web.Request) -> web.Response:
        flags = _upsert_flags(request)
        name = self.catalog.blueprint(request.match_info["blueprint"]).identifier
        body = _object(await _body(request))
        documents = body.get("entities")
        if set(body) != {"entities"} or not is_array(documents):
            raise malformed("the body must be an object with the array `entities`, nothing else")
        if not 1 <= len(documents) <= MAX_BULK:
            raise malformed(f"entities must have 1 to {MAX_BULK} items, not {len(documents)}")
        for document in documents:
            read_entity(document)
        entities: list[Json] = []
        errors: list[Json] = []
        for index, document in enumerate(documents):
            try:
                stored, created = self._store(name, document, flags, request)
            except StubRefusalError as refusal:
                errors.append(
                    {
                        "index": index,
                        "identifier": _identifier_or_unknown(document),
                        "statusCode": refusal.status,
                        "error": refusal.error,
                        "message": refusal.message,
                    }
                )
            else:
                entities.append({"index": index, "identifier": stored["identifier"], "created": created})
        return answer({"ok": True, "entities": entities, "errors": errors}, 207 if errors else 200)

    def _store(
        self, name: str, document: Json, flags: UpsertFlags, request: web.Request
    ) -> tuple[Document, bool]:
        refused = self.faults.refused.get((name, _identifier_or_unknown(document)))
        if refused is not None:
            raise StubRefusalError(refused[0], "invalid_request", refused[1])
        return self.catalog.upsert(name, document, flags, request.headers["User-Agent"])

    async def _delete(self, request: web.Request) -> web.Response:
        flags = _flags(request, frozenset({"delete_dependents"}))
        self.catalog.delete(_ref(request), dependents=flags.get("delete_dependents", False))
        return answer({"ok": True})

    async def _search(self, request: web.Request) -> web.Response:
        _flags(request, _READ_FLAGS)
        found = self.catalog.search(await _body(request))
        fields = request.query.getall("include", [])
        shown_fields = [
            {name: value for name, value in _answered(document).items() if not fields or name in fields}
            for document in found
        ]
        matching = sorted({document["blueprint"] for document in found})
        return answer({"ok": True, "matchingBlueprints": matching, "entities": shown_fields})

    async def _create_integration(self, request: web.Request) -> web.Response:
        document = _object(await _body(request))
        identifier = document.get("installationId")
        if not isinstance(identifier, str) or not identifier:
            raise malformed(f"installationId must be a text, not {shown(identifier)}")
        if identifier in self.integrations:
            raise StubRefusalError(409, "identifier_taken", f"integration {identifier} exists")
        self.integrations[identifier] = {"config": {}, **document}
        return answer({"ok": True, "integration": self.integrations[identifier]}, 201)

    async def _integration(self, request: web.Request) -> web.Response:
        return answer({"ok": True, "integration": self._known_integration(request)})

    async def _patch_integration(self, request: web.Request) -> web.Response:
        self._known_integration(request).update(_object(await _body(request)))
        return answer({"ok": True, "integration": self._known_integration(request)})

    def _known_integration(self, request: web.Request) -> Document:
        identifier = request.match_info["integration"]
        if identifier not in self.integrations:
            raise StubRefusalError(404, "not_found", f"integration {identifier} was not found")
        return self.integrations[identifier]


def answer(
    body: Mapping[str, Json], status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A JSON answer."""
    document = msgspec.json.encode(body)
    return web.Response(body=document, status=status, headers=headers, content_type="application/json")


def _answered(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != "datasource"}


def _ref(request: web.Request) -> EntityRef:
    return EntityRef(request.match_info["blueprint"], request.match_info["entity"])


def _identifier_or_unknown(document: Json) -> str:
    identifier = document.get("identifier") if is_object(document) else None
    return "unknown" if identifier is None or is_object(identifier) else identifier_text(identifier)


async def _body(request: web.Request) -> Json:
    if request.content_type != "application/json":
        raise StubRefusalError(415, "unsupported_media_type", "send application/json", whole=True)
    document = await request.read()
    if len(document) > MAX_BODY_BYTES:
        raise StubRefusalError(413, "request_too_large", "the body is larger than 1 MiB", whole=True)
    try:
        return msgspec.json.decode(document)
    except msgspec.DecodeError as error:
        raise StubRefusalError(400, "invalid_json", str(error), whole=True) from None


def _object(body: Json) -> Document:
    if not is_object(body):
        raise malformed(f"the body must be an object, not {shown(body)}")
    return body


def _flags(request: web.Request, allowed: frozenset[str]) -> dict[str, bool]:
    unknown = sorted(set(request.query) - allowed)
    if unknown:
        raise malformed(f"unknown query parameters: {', '.join(unknown)}")
    flags: dict[str, bool] = {}
    for name, value in request.query.items():
        if name in ("include", "exclude"):
            continue
        if value not in ("true", "false"):
            raise malformed(f"query parameter {name} must be true or false, not {value!r}")
        flags[name] = value == "true"
    return flags


def _upsert_flags(request: web.Request) -> UpsertFlags:
    return UpsertFlags(**_flags(request, _WRITE_FLAGS))
