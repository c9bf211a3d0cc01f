"""Answers of the admin listener, and what its requests may hold."""

from collections.abc import Mapping
from typing import Annotated, TypeAlias

import msgspec
from starlette.responses import Response

from tidegate.core.events import Json

MAX_NUMBER = 2**63 - 1
"""The largest number that engines keep."""

Text: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$")]
"""A NUL is in nothing that is stored, and not every engine can be asked for it."""


def json_response(body: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")
