"""Records of the engine as JSON documents, secrets masked. The operations API and the CLI show the same."""

import base64
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum

import msgspec

from tidegate.core.differences import FieldChange
from tidegate.core.entities import EntityRef
from tidegate.core.events import Json, MalformedPayloadError, decode_payload
from tidegate.core.inspection import AttemptRecord, EventDetail, RunDetail, WriteRecord
from tidegate.core.masking import masked_headers, masked_payload
from tidegate.core.previews import EntityPreview


def document(value: object) -> Json:  # noqa: C901 - one case a record
    """Any record as JSON values: dataclasses become objects, times ISO 8601 in UTC."""
    match value:
        case EventDetail():
            return event_document(value)
        case AttemptRecord():
            steps = [{"name": name, "seconds": seconds, "note": note} for name, seconds, note in value.steps]
            return {**_plain(value), "steps": steps, "fetched": _parsed(value.fetched)}
        case WriteRecord():
            return {**_plain(value), "document": _parsed(value.document)}
        case EntityPreview():
            return {**_plain(value), "document": masked_payload(value.document)}
        case FieldChange(field=name, before=before, after=after):
            last = name.rpartition(".")[2]
            masked = {
                when: masked_payload({last: it})[last] for when, it in (("before", before), ("after", after))
            }
            return {**_plain(value), **masked}
        case EntityRef(blueprint=blueprint, identifier=identifier):
            return {"blueprint": blueprint, "identifier": identifier}
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case Enum():
            return value.value
        case bytes():
            return base64.b64encode(value).decode()
        case list() | tuple() | frozenset():
            return [document(item) for item in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case _:
            return _plain(value) if is_dataclass(value) else value


def event_document(detail: EventDetail) -> dict[str, Json]:
    """An event with headers and payload, both masked, and its runs."""
    try:
        content_type = detail.headers.get("content-type", "")
        payload = masked_payload(decode_payload(detail.body, content_type))
    except MalformedPayloadError as error:
        payload = {"unreadable": str(error)}
    return {
        **_plain(detail.record),
        "trace_id": detail.trace_id,
        "headers": masked_headers(detail.headers),
        "payload": payload,
        "runs": [{**_plain(run), "carried": run.id in detail.carried} for run in detail.runs],
    }


def run_document(detail: RunDetail) -> dict[str, Json]:
    """A run with its attempts, writes and events."""
    return {
        **_plain(detail.record),
        "attempts": document(detail.attempts),
        "writes": document(detail.writes),
        "events": document(detail.events),
    }


def _plain(record: object) -> dict[str, Json]:
    return {field.name: document(getattr(record, field.name)) for field in fields(record)}  # pyright: ignore[reportArgumentType]


def _parsed(text: bytes | None) -> Json:
    return masked_payload(msgspec.json.decode(text)) if text else None
