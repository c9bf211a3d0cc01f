"""What people and programs may see of headers and payloads: values that look like secrets are masked."""

import re
from collections.abc import Mapping
from functools import lru_cache

from tidegate.core.events import Json
from tidegate.core.verification import MASKED

_SECRET_HEADER = re.compile(
    r"authorization|cookie|token|secret|signature|password|api-?key|hmac", re.IGNORECASE
)
_SECRET_FIELD = re.compile(
    r"secret|password|passwd|credential|api_?key|private_?key|(^|_)token$|access_?token", re.IGNORECASE
)

_LONGEST_KEPT = 64
"""Senders choose names freely: longer ones are not remembered."""


def is_secret_header(name: str) -> bool:
    """True for a header whose name sounds like a credential or a signature."""
    return _known_header(name) if len(name) <= _LONGEST_KEPT else _SECRET_HEADER.search(name) is not None


@lru_cache(maxsize=1_024)
def _known_header(name: str) -> bool:
    return _SECRET_HEADER.search(name) is not None


def is_secret_field(name: str) -> bool:
    """True for a field or parameter whose name sounds like a secret."""
    return _SECRET_FIELD.search(name) is not None


def masked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers with credentials and signatures masked."""
    return {name: MASKED if is_secret_header(name) else value for name, value in headers.items()}


def masked_payload(value: Json) -> Json:
    """A JSON value with the texts of fields masked whose name sounds like a secret."""
    if isinstance(value, dict):
        return {str(name): _masked_field(str(name), inner) for name, inner in value.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, list):
        return [masked_payload(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def _masked_field(name: str, value: Json) -> Json:
    if isinstance(value, str) and value and is_secret_field(name):
        return MASKED
    return masked_payload(value)
