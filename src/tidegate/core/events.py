"""Live events: one webhook delivery each, with its raw body kept as received."""

from collections.abc import ItemsView, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from tidegate.core.forms import form_document, is_form

Json: TypeAlias = Any
"""Any JSON value: None, bool, int, float, str, list or dict of the same."""

EventPayload: TypeAlias = dict[str, Any]
"""A live event's parsed JSON object."""


class EventHeaders(Mapping[str, str]):
    """HTTP headers: names kept in lower case, found in any case; repeated headers joined by ', ' (RFC 9110 §5.3)."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = {name.lower(): value for name, value in (values or {}).items()}

    @classmethod
    def of_lower(cls, values: dict[str, str]) -> "EventHeaders":
        """Of a dict whose names are in lower case already. It is kept, not copied: leave it as it is."""
        headers = cls.__new__(cls)
        headers._values = values  # noqa: SLF001 - its own
        return headers

    def as_dict(self) -> dict[str, str]:
        """A copy: names in lower case, and values."""
        return self._values.copy()

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def items(self) -> ItemsView[str, str]:
        return self._values.items()  # the inherited view looks each name up

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __repr__(self) -> str:
        return f"EventHeaders({sorted(self._values)})"  # names only: values may be secrets


class MalformedPayloadError(ValueError):
    """The body is not a JSON object, nor a form."""


def decode_payload(body: bytes, content_type: str) -> EventPayload:
    """Parse a body as JSON, or as a form: its `payload` field is JSON, or all its fields are the payload.

    Raises MalformedPayloadError, whose message says what is wrong and at which byte where known.
    """
    document = body
    if is_form(content_type):
        try:
            document = form_document(body)
        except ValueError as error:
            raise MalformedPayloadError(f"the form cannot be read: {error}") from None
    try:
        payload = msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedPayloadError(f"the body is not valid JSON: {error}") from None
    if not isinstance(payload, dict):
        raise MalformedPayloadError(f"the body is JSON, but not an object: {type(payload).__name__}")  # pyright: ignore[reportUnknownArgumentType]
    return payload  # pyright: ignore[reportUnknownVariableType]


class IncomingEvent(msgspec.Struct, frozen=True):
    """A delivery as the ingress hands it to the engine: accepted, not yet stored.

    `id` is a fresh UUID as text. `path` is what stands behind /integration, with its leading slash
    ("/webhook"). `body` holds the raw bytes, content encoding (gzip) undone. `delivery_id`
    tells the deliveries of one path apart: None means that this one is never a duplicate. `replay_of` is
    the id of the event that a manual replay repeats; a replay is never a duplicate.
    """

    id: str
    path: str
    headers: EventHeaders
    body: bytes
    received_at: datetime
    trace_id: str
    delivery_id: str | None = None
    replay_of: str | None = None


class StoredEvent(msgspec.Struct, frozen=True):
    """An event read back from the engine. `seq` is its place in the order of commits, from 1."""

    seq: int
    id: str
    path: str
    headers: EventHeaders
    body: bytes
    received_at: datetime
    trace_id: str
    delivery_id: str | None = None
    replay_of: str | None = None


@dataclass(slots=True)
class WebhookEvent:
    """What a processor sees of a live event. Each processor gets an instance of its own.

    `payload` is parsed on first use; what a processor changes in it stays with that processor.
    Raises MalformedPayloadError from `payload` if the stored body is no JSON object.
    """

    id: str
    trace_id: str
    path: str
    headers: EventHeaders
    body: bytes
    received_at: datetime
    delivery_id: str | None = None
    _payload: EventPayload | None = field(default=None, repr=False)

    @property
    def payload(self) -> EventPayload:
        if self._payload is None:
            self._payload = decode_payload(self.body, self.headers.get("content-type", ""))
        return self._payload

    @classmethod
    def from_stored(cls, event: StoredEvent) -> "WebhookEvent":
        return cls(
            id=event.id,
            trace_id=event.trace_id,
            path=event.path,
            headers=event.headers,
            body=event.body,
            received_at=event.received_at,
            delivery_id=event.delivery_id,
        )
