"""Changing a request on its way to being signed."""

import dataclasses
from collections.abc import Mapping
from urllib.parse import urlencode

from tidegate.core.events import EventHeaders
from tidegate.core.verification import SignedRequest


def with_content(request: SignedRequest, headers: Mapping[str, str], body: bytes) -> SignedRequest:
    """The request with other headers and another body."""
    return dataclasses.replace(request, headers=EventHeaders(headers), body=body)


def with_parameter(request: SignedRequest, name: str, value: str | bytes) -> SignedRequest:
    """The request with one more parameter at the end of its URL."""
    pair = urlencode({name: value})
    query = f"{request.query}&{pair}" if request.query else pair
    return dataclasses.replace(request, query=query, url=f"{request.url.partition('?')[0]}?{query}")
