"""The effective settings as people may see them: secrets masked."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from tidegate.config.models import ENV_PREFIX, Settings

MASK = "********"
_SECRET_NAME = re.compile(r"secret|token|password|passwd|credential|api_?key|private|auth", re.IGNORECASE)
_URL_PASSWORDS = (
    re.compile(
        r"(postgres(?:ql)?:/*[^/\s:@]*:).*@"
    ),  # to the last @: it may hold what should have been encoded
    re.compile(r"(:/{1,2}[^/\s:@]*:)[^/@]*@"),
    re.compile(r"([?&](?:ssl)?password=)[^&\s]+"),
)


def masked(settings: Settings) -> dict[str, Any]:
    """All settings as plain values. Secrets, and the integration's values whose name sounds like one, are masked."""
    return _mask_all(settings.model_dump())


def origin_of(name: str) -> str:
    """The environment variable of a setting given as `section.name`."""
    return ENV_PREFIX + name.replace(".", "__").upper()


def without_password(text: str) -> str:
    """The text with the passwords of URLs masked."""
    for password in _URL_PASSWORDS:
        text = password.sub(_with_mask, text)
    return text


def _with_mask(found: re.Match[str]) -> str:
    return f"{found[1]}{MASK}{'@' if found[0].endswith('@') else ''}"


def _mask_all(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _mask(name, value) for name, value in values.items()}


def _mask(name: str, value: Any) -> Any:
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if isinstance(value, dict):
        return _mask_all(value)  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, (list, tuple)):
        return [_mask(name, item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, str):
        if value and _SECRET_NAME.search(name):
            return MASK
        return without_password(value)
    return value
