"""Answers of the admin listener."""

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from tidegate.core.events import Json


def json_response(body: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")
