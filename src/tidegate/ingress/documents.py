"""Checks that a body is a JSON object that processors will be able to parse, without building it.

The grammar is msgspec's: RFC 8259 in UTF-8, so no NaN, no Infinity, no byte order mark, no trailing comma. Of a name
that an object repeats, the last value counts.
"""

from collections.abc import Iterable

import msgspec

from tidegate.core.events import Json
from tidegate.core.forms import form_document, is_form
from tidegate.ingress.answers import Refusal
from tidegate.ingress.limits import IngressLimits


class _AnyObject(msgspec.Struct):
    """Decoding into it reads an object and skips every member."""


_OBJECT = msgspec.json.Decoder(_AnyObject)
_VALUE = msgspec.json.Decoder()
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def document_of(body: bytes, content_type: str, limits: IngressLimits) -> bytes | Refusal:
    """The JSON that a body is, or that a form stands for."""
    if not is_form(content_type):
        return body
    try:
        return form_document(body, limits.max_form_fields)
    except ValueError as error:
        return Refusal(400, "bad-form", f"the form cannot be read: {error}")


def check_document(document: bytes, limits: IngressLimits) -> Refusal | None:
    """None if the document is a JSON object within the limits."""
    try:
        document.decode()
    except UnicodeDecodeError as error:
        return _malformed(f"it is not UTF-8 at byte {error.start}")
    if _too_many_values(document, limits.max_json_values):
        detail = f"the JSON has more than {limits.max_json_values} values: send less in one delivery"
        return Refusal(413, "too-large", detail)
    try:
        _OBJECT.decode(document)
    except msgspec.ValidationError as error:
        kind = str(error).rpartition("got ")[2].strip("`")
        return Refusal(
            400, "not-an-object", f"the body is JSON, but not an object: {kind}. Wrap it in an object"
        )
    except msgspec.DecodeError as error:
        return _malformed(_where(document, str(error)))
    except RecursionError:
        return _too_deep(limits)
    return _check_depth(document, limits)


def _too_many_values(document: bytes, limit: int) -> bool:
    """An upper bound, so that what is within it surely is: what stands inside strings counts too."""
    if len(document) <= limit:
        return False
    return document.count(b",") + document.count(b"[") + document.count(b"{") > limit


def _check_depth(document: bytes, limits: IngressLimits) -> Refusal | None:
    """A document with no more brackets than the limit cannot be deeper; only the others are built and walked."""
    if document.count(b"{") + document.count(b"[") <= limits.max_json_depth:
        return None
    try:
        level: list[Json] = [_VALUE.decode(document)]
    except msgspec.DecodeError as error:  # a number beyond what Python holds; processors could not parse it
        return _malformed(_where(document, str(error)))
    for _ in range(limits.max_json_depth):
        level = [child for node in level for child in _members(node) if isinstance(child, dict | list)]
        if not level:
            return None
    return _too_deep(limits)


def _members(node: Json) -> Iterable[Json]:
    return node.values() if isinstance(node, dict) else node  # pyright: ignore[reportUnknownVariableType]


def _where(document: bytes, message: str) -> str:
    if not document.strip():
        return "it is empty"
    if document.startswith(_BYTE_ORDER_MARK):
        return "it begins with a byte order mark (RFC 8259 §8.1): send it without"
    if "truncated" in message:
        return f"it ends too early, after {len(document)} bytes"
    return message.removeprefix("JSON is malformed: ")


def _malformed(what: str) -> Refusal:
    return Refusal(400, "bad-json", f"the body is not valid JSON: {what}")


def _too_deep(limits: IngressLimits) -> Refusal:
    return Refusal(400, "too-deep", f"the JSON is nested more than {limits.max_json_depth} levels deep")
