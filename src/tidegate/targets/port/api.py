"""Authorised requests to Port: a refused token is renewed once, and only so many requests travel at a time."""

import asyncio
from urllib.parse import quote, urlencode

import msgspec

from tidegate.core.events import Json
from tidegate.targets.port.errors import PortUnavailableError
from tidegate.targets.port.http import Exchange, PortAnswer
from tidegate.targets.port.tokens import AccessTokens

MAX_REQUESTS_IN_FLIGHT = 8


class PortApi:
    """Port's REST API as one client sees it. Belongs to one event loop; `close` it when done."""

    def __init__(self, exchange: Exchange, tokens: AccessTokens) -> None:
        self._exchange = exchange
        self._tokens = tokens
        self._free = asyncio.Semaphore(MAX_REQUESTS_IN_FLIGHT)

    async def call(self, method: str, path: str, body: bytes | None = None) -> PortAnswer:
        """Send one request; `path` from `address`, with its query.

        Raises PortUnavailableError: nothing is known of what became of the request.
        """
        async with self._free:
            authorization = await self._tokens.authorization()
            answer = await self._exchange.send(method, path, body, authorization)
            if answer.status != 401:
                return answer
            self._tokens.refused(authorization)
            authorization = await self._tokens.authorization()
            answer = await self._exchange.send(method, path, body, authorization)
        if answer.status == 401:
            raise PortUnavailableError(f"Port refuses a fresh access token: {answer.reason}", status=401)
        return answer

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._tokens.close()
        await self._exchange.close()


def address(*segments: str) -> str:
    """A path of segments, each quoted whole: a slash inside stays inside."""
    return "".join(f"/{quote(segment, safe='')}" for segment in segments)


def query(**flags: bool) -> str:
    """A query that says true or false to each flag."""
    return "?" + urlencode({name: str(value).lower() for name, value in flags.items()})


def document(value: Json) -> bytes:
    """A request's body."""
    return msgspec.json.encode(value)
