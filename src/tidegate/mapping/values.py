"""JSON values: what may stand in an entity, and how items are written for the worker process."""

import json
import re
from collections.abc import Mapping
from typing import cast

import msgspec

from tidegate.core.events import Json

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_UNCHANGED = frozenset((type(None), bool, int))


class NotJsonError(Exception):
    """An author's item holds what JSON cannot express; the message says what."""


def plain(value: Json) -> Json:
    """The value as jq would pass it on: JSON types only, not-a-number as null, text that is valid Unicode.

    Raises NotJsonError.
    """
    if type(value) is str:
        return value if value.isascii() else _valid_text(value)
    if type(value) in _UNCHANGED:
        return value
    if type(value) is float:
        return value if value - value == 0 else None  # neither infinite nor not-a-number
    return msgspec.json.decode(encode(value))


def encode(value: Json) -> bytes:
    """The value as JSON text. Raises NotJsonError."""
    try:
        return msgspec.json.encode(value, enc_hook=_to_builtin)
    except UnicodeEncodeError:
        return _encode_mended(value)
    except RecursionError:
        raise NotJsonError("is nested too deeply, or holds itself") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise NotJsonError(f"is not JSON: {error}") from None


def _encode_mended(value: Json) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_to_builtin)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJsonError(f"is not JSON: {error}") from None
    return _valid_text(text).encode()


def _valid_text(text: str) -> str:
    """Text with half surrogate pairs (JSON can spell them, UTF-8 cannot) replaced by U+FFFD."""
    return _LONE_SURROGATE.sub("\ufffd", text)


def _to_builtin(value: object) -> object:
    """Subclasses of the JSON types and other mappings, as SDKs return them."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        return dict(cast(Mapping[object, object], value))
    raise TypeError(f"an object of type {type(value).__name__} stands in it")


def type_name(value: Json) -> str:
    """The name that jq has for the value's type."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case dict():
            return "object"
        case _:
            return "array"
