"""The OpenAPI descriptions of both listeners: what may be sent, and what is answered.

Records come from their types, the bodies of requests from msgspec, reasons to refuse from the table in http.md. Tests
compare the paths with the routes, and schemathesis holds the running service to these documents.
"""

import json
import re
from collections.abc import Iterable

import msgspec

from scripts.docs_reference.blocks import ROOT
from scripts.docs_reference.schemas import Schema, Schemas, object_of
from tidegate.console.mapping_routes import DryRunRequest, PreviewRequest
from tidegate.console.operations import DeadLetterRequest
from tidegate.core.inspection import Backlog, EventDetail, EventRecord, RunDetail, RunRecord, WriteRecord
from tidegate.core.lifecycle import EventState, RunState
from tidegate.core.overviews import Overview
from tidegate.core.previews import DryRun, ItemsPreview

TEXT: Schema = {"type": "string"}
ASKED: Schema = {"type": "string", "pattern": r"^[^\x00]*$"}
TEXTS: Schema = {"type": "array", "items": TEXT}
NAMED: Schema = {"type": "object", "additionalProperties": TEXT}
TIME: Schema = {"type": "string", "format": "date-time"}
NUMBER: Schema = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
HEALTH = object_of({"status": TEXT})
ERROR = {"type": "object", "properties": {"error": TEXT, "detail": TEXT}, "required": ["error"]}
PAGE = {"limit": NUMBER, "before": NUMBER}
SPAN = {"since": TIME, "until": TIME}
KEY = {"name": "id", "in": "path", "required": True, "schema": {**ASKED, "minLength": 1}}
RUN_KEY = {**KEY, "schema": NUMBER}
ENTITY_KEYS = [
    {"name": name, "in": "path", "required": True, "schema": {**ASKED, "minLength": 1}}
    for name in ("blueprint", "identifier")
]
REFUSED_REQUESTS = (400, 401, 403, 408, 413, 415, 503)
"""What the guard of the admin listener, or the listener itself, may say to anybody."""


def operations_api() -> str:
    """The admin listener's operations API."""
    schemas = Schemas()
    events = {**_texts("path", "delivery_id", "processor", "kind", "resource_key", "text"), **SPAN, **PAGE}
    runs = {**_texts("path", "processor", "kind", "error"), **SPAN, **PAGE}
    (mending, preview, dry_run), bodies = msgspec.json.schema_components(
        (DeadLetterRequest, PreviewRequest, DryRunRequest), ref_template="#/components/schemas/{name}"
    )
    schemas.found |= bodies
    schemas.found["DeadLetterRequest"]["anyOf"] = _conditions()
    counted = object_of({"count": {"type": "integer"}, "dry_run": {"type": "boolean"}})
    status = object_of({"backlog": schemas.of(Backlog), "paused": NAMED})
    ready = object_of({"status": TEXT, "reasons": TEXTS, "paused": NAMED})
    paths = {
        "/healthz": _get("Is the process alive?", HEALTH, open_to_all=True),
        "/readyz": _get("Is the service ready?", ready, open_to_all=True, also={503: ready}),
        "/metrics": _get("Metrics in Prometheus' text format", None),
        "/api/status": _get("Backlog and pauses", status),
        "/api/overview": _get("Rates, timings and errors of the last hour", schemas.of(Overview)),
        "/api/events": _get(
            "Events, newest first",
            _listing("events", schemas.of(EventRecord)),
            query={**events, "state": schemas.of(EventState)},
        ),
        "/api/events/{id}": _get("One event", schemas.of(EventDetail), path=[KEY]),
        "/api/events/{id}/replay": _post(
            "Process an event once more", object_of({"id": TEXT}), path=[KEY], status=202
        ),
        "/api/runs": _get(
            "Runs, newest first",
            _listing("runs", schemas.of(RunRecord)),
            query={**runs, "state": schemas.of(RunState)},
        ),
        "/api/runs/{id}": _get("One run", schemas.of(RunDetail), path=[RUN_KEY]),
        "/api/writes/{blueprint}/{identifier}": _get(
            "What was done to an entity",
            _listing("writes", schemas.of(WriteRecord)),
            query=PAGE,
            path=ENTITY_KEYS,
        ),
        "/api/deadletters/redrive": _post("Put dead letters back", counted, body=mending),
        "/api/deadletters/discard": _post("Give dead letters up", counted, body=mending),
    }
    found = object_of({**schemas.fields_of(DryRun), "differs": {"type": "boolean"}})
    paths |= {
        "/api/mapping/preview": _post(
            "What a mapping makes of recorded items",
            _listing("previews", schemas.of(ItemsPreview)),
            body=preview,
        ),
        "/api/mapping/dry-run": _post("What would change if a mapping were deployed", found, body=dry_run),
    }
    document = _document("Tidegate's operations API", "http://127.0.0.1:8001", paths)
    document["components"] = {
        "schemas": schemas.found,
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer"},
            "session": {"type": "apiKey", "in": "cookie", "name": "tidegate_session"},
        },
    }
    return _text(document)


def webhooks() -> str:
    """The webhook listener."""
    accepted = object_of({"status": {"type": "string", "enum": ["accepted", "duplicate"]}, "id": TEXT})
    ready = object_of({"status": TEXT, "reasons": TEXTS})
    refused = dict.fromkeys(sorted({status for status, _ in reasons()}), _refusal())
    path = {
        "name": "path",
        "in": "path",
        "required": True,
        "description": "As the processor is registered. It may hold slashes.",
        "schema": {"type": "string", "minLength": 1},
    }
    form = {
        "type": "object",
        "additionalProperties": TEXT,
        "propertyNames": {"minLength": 1},
        "minProperties": 1,
    }
    bodies: dict[str, Schema] = {
        "application/json": {"type": "object"},
        "application/x-www-form-urlencoded": form,
    }
    paths = {
        "/healthz": {"get": _operation("Is the process alive?", {200: HEALTH})},
        "/readyz": {"get": _operation("Is the service ready?", {200: ready, 503: ready})},
        "/integration/{path}": {
            "post": _operation(
                "One delivery; 202 is answered once it is durable",
                {202: accepted, **refused},
                parameters=[path],
                bodies=bodies,
            ),
        },
    }
    return _text(_document("Tidegate's webhook listener", "http://127.0.0.1:8000", paths))


def reasons() -> list[tuple[int, str]]:
    """Status and reason of every refusal, from the table of http.md, which a test compares with the code."""
    page = (ROOT / "docs" / "reference" / "http.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d{3}) \| ([^|]+) \|", page, re.MULTILINE)
    return [(int(status), reason) for status, cell in rows for reason in re.findall("`([a-z-]+)`", cell)]


def _refusal() -> Schema:
    words = {"type": "string", "enum": sorted({reason for _, reason in reasons()})}
    return {"type": "object", "properties": {"error": words, "detail": TEXT}, "required": ["error"]}


def _conditions() -> list[Schema]:
    """At least one condition, or `all`."""
    texts = ("path", "processor", "kind", "error")
    said = {name: {"type": "string", "minLength": 1} for name in texts} | dict.fromkeys(SPAN, TIME)
    said |= {"all": {"const": True}, "ids": {"minItems": 1}}
    return [{"properties": {name: each}, "required": [name]} for name, each in said.items()]


def _get(
    summary: str,
    answer: Schema | None,
    *,
    query: dict[str, Schema] | None = None,
    path: Iterable[Schema] = (),
    open_to_all: bool = False,
    also: dict[int, Schema] | None = None,
) -> Schema:
    parameters = [
        *path,
        *({"name": name, "in": "query", "schema": each} for name, each in (query or {}).items()),
    ]
    errors = {} if open_to_all else dict.fromkeys(REFUSED_REQUESTS, ERROR)
    if query:
        errors[422] = ERROR
    if path:
        errors[404] = ERROR
    answers = {200: answer, **errors, **(also or {})}
    return {"get": _operation(summary, answers, parameters=parameters, guarded=not open_to_all)}


def _post(
    summary: str,
    answer: Schema,
    *,
    body: Schema | None = None,
    path: Iterable[Schema] = (),
    status: int = 200,
) -> Schema:
    answers: dict[int, Schema | None] = {
        status: answer,
        **dict.fromkeys((*REFUSED_REQUESTS, 404, 422), ERROR),
    }
    bodies = {"application/json": body or {}}
    return {"post": _operation(summary, answers, parameters=[*path], bodies=bodies, guarded=True)}


def _operation(
    summary: str,
    answers: dict[int, Schema | None],
    *,
    parameters: list[Schema] | None = None,
    bodies: dict[str, Schema] | None = None,
    guarded: bool = False,
) -> Schema:
    operation: Schema = {
        "summary": summary,
        "parameters": parameters or [],
        "responses": {str(status): _response(answer) for status, answer in sorted(answers.items())},
    }
    if bodies:
        operation["requestBody"] = {
            "required": True,
            "content": {kind: {"schema": each} for kind, each in bodies.items()},
        }
    if guarded:
        operation["security"] = [{"token": []}, {"session": []}]
    return operation


def _response(answer: Schema | None) -> Schema:
    content: Schema = (
        {"text/plain": {"schema": TEXT}} if answer is None else {"application/json": {"schema": answer}}
    )
    return {"description": "", "content": content}


def _listing(name: str, record: Schema) -> Schema:
    return object_of({name: {"type": "array", "items": record}})


def _texts(*names: str) -> dict[str, Schema]:
    return dict.fromkeys(names, ASKED)


def _document(title: str, url: str, paths: Schema) -> Schema:
    info = {"title": title, "version": "1", "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}}
    return {"openapi": "3.1.0", "info": info, "servers": [{"url": url}], "paths": paths}


def _text(document: Schema) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
