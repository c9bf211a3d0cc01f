"""Bodies in every encoding and content type: unfolded within bounds, and accepted only if a processor can read them."""

import zlib

from tidegate.core.events import MalformedPayloadError, decode_payload
from tidegate.core.forms import FORM_TYPE
from tidegate.ingress import DeliveryIdRule, IngressLimits, Refusal
from tidegate.ingress.documents import check_document, document_of
from tidegate.ingress.encodings import Compressed, decompress

LIMITS = IngressLimits(max_decoded_bytes=65_536, max_json_depth=20, max_json_values=500)
TYPES = ("application/json", FORM_TYPE, f"{FORM_TYPE}; charset=utf-8", "")
CODINGS = (None, Compressed("gzip"), Compressed("deflate"))
RULE = DeliveryIdRule((), ("id", "event.id"))


def one(data: bytes) -> None:
    """The first byte chooses content type and coding."""
    choice, body = (data[0] if data else 0), data[1:]
    kind, coding = TYPES[choice % 4], CODINGS[choice // 4 % 3]
    if coding is not None:
        packed = zlib.compress(body) if choice >= 128 else body
        unfolded = decompress(packed, coding, LIMITS)
        if isinstance(unfolded, Refusal):
            assert unfolded.status in (400, 413)
            return
        assert len(unfolded) <= LIMITS.max_decoded_bytes
        body = unfolded
    document = document_of(body, kind, LIMITS)
    if isinstance(document, Refusal):
        assert document.status == 400
        return
    refusal = check_document(document, LIMITS)
    if refusal is not None:
        assert refusal.status in (400, 413)
        return
    RULE.delivery_id({}, document)
    try:
        decode_payload(body, kind)
    except MalformedPayloadError as error:
        assert "out of range" in str(error), error


SEEDS = [
    b'\0{"event": {"id": 7}, "a": [1, -2.5e3, null, true, "\\u00e9"]}',
    b"\1payload=%7B%22id%22%3A1%7D&a=b",
    b"\2a=1&a=2&b=%C3%A9+c",
    b"\x84{" + b'"a":[' * 5 + b"]" * 5 + b"}",
    b"\x04\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00\x00",
]
