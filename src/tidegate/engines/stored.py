"""What is stored as bytes, and how it is read back."""

from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import lz4.frame
import msgspec

from tidegate.core.events import EventHeaders, StoredEvent
from tidegate.core.runs import Trail
from tidegate.engines.instants import from_us

_decode_headers = msgspec.json.Decoder(dict[str, str]).decode
"""They are stored with names in lower case."""

_LZ4_MAGIC = (0x184D2204).to_bytes(4, "little")
"""How a frame begins (LZ4 Frame Format Description, "Magic Number")."""


class UnreadableError(Exception):
    """The stored data of an event cannot be read. Stays inside the engine."""


def delivery_hash(delivery_id: str) -> int:
    """The key under which a delivery id is found; equal hashes are told apart by the id itself."""
    digest = blake2b(delivery_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def encode_headers(headers: EventHeaders) -> bytes:
    """Headers as they are stored."""
    return msgspec.json.encode(headers.as_dict())


def decode_all_headers(documents: Iterable[bytes]) -> list[EventHeaders]:
    """Headers read back; those that cannot be read are left out."""
    found: list[EventHeaders] = []
    for document in documents:
        with suppress(msgspec.MsgspecError):
            found.append(EventHeaders.of_lower(_decode_headers(document)))
    return found


def read_event(row: tuple[Any, ...]) -> StoredEvent:
    """An event from EVENT_COLUMNS of an adapter. Raises UnreadableError."""
    seq, event_id, path, received_us, delivery_id, replay_of, trace_id, headers, body = row
    if event_id is None or body is None:
        raise UnreadableError("its stored event is gone")
    try:
        decoded = EventHeaders.of_lower(_decode_headers(headers))
    except msgspec.MsgspecError as error:
        raise UnreadableError(f"its stored headers cannot be read: {error}") from None
    return StoredEvent(
        seq=seq,
        id=event_id,
        path=path,
        headers=decoded,
        body=body,
        received_at=from_us(received_us),
        trace_id=trace_id,
        delivery_id=delivery_id,
        replay_of=replay_of,
    )


def encode_trail(trail: Trail) -> bytes | None:
    """Steps and warnings as attempts keep them."""
    if not (trail.steps or trail.warnings):
        return None
    return msgspec.json.encode((trail.steps, trail.warnings))


def encode_fetched(document: bytes) -> bytes | None:
    """A copy of what was fetched, as attempts keep it: an LZ4 frame, a third of the JSON. It is most of an attempt."""
    return lz4.frame.compress(document) if document else None


def decode_fetched(stored: bytes | None) -> bytes:
    """The copy read back, b"" if there is none, or it cannot be read. Some are kept as they were."""
    if not stored or not stored.startswith(_LZ4_MAGIC):
        return stored or b""
    try:
        return lz4.frame.decompress(stored)
    except RuntimeError:
        return b""


def decode_trail(document: bytes | None) -> tuple[tuple[tuple[str, float, str], ...], tuple[str, ...]]:
    """Steps and warnings read back."""
    if document is None:
        return (), ()
    kind = tuple[tuple[tuple[str, float, str], ...], tuple[str, ...]]
    decoded: Any = msgspec.json.decode(document, type=kind)
    return decoded
