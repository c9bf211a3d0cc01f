"""Runs that are asked for, as the verbs take them."""

from collections.abc import Iterable
from typing import Any

from tidegate.core.runs import RunRequest
from tidegate.engines.instants import span_us
from tidegate.engines.postgres.calls import stored_text, stored_texts


def request_arrays(asked: Iterable[tuple[int, RunRequest]], delays: str = "delays") -> dict[str, Any]:
    """Requests with the places of those who ask. `delays` is the name of the parameter for their delays."""
    pairs = list(asked)
    requests = [request for _, request in pairs]
    return {
        "askers": [place for place, _ in pairs],
        "processors": [stored_text(request.processor) for request in requests],
        "configs": [stored_text(request.config) for request in requests],
        "kinds": [stored_text(request.kind) for request in requests],
        "keys": stored_texts(request.resource_key for request in requests),
        "lanes": stored_texts(request.lane for request in requests),
        delays: [span_us(request.delay_seconds) for request in requests],
        "errors": stored_texts(request.error for request in requests),
        "versions": [stored_text(request.version) for request in requests],
    }
