"""Access tokens: fetched once for all that wait, renewed before they expire, never shown."""

import asyncio

import msgspec

from tidegate.targets.port.errors import PortUnavailableError
from tidegate.targets.port.http import Exchange

MARGIN_SECONDS = 60.0
"""A token is renewed this long before it expires, or in the last tenth of a short life."""


class AccessTokens:
    """Keeps the current token of one client. Belongs to one event loop."""

    def __init__(self, exchange: Exchange, client_id: str, client_secret: str) -> None:
        self._exchange = exchange
        self._client_id = client_id
        self._client_secret = client_secret
        self._current: str | None = None
        self._renew_at = 0.0
        self._renewal: asyncio.Task[str] | None = None

    def __repr__(self) -> str:
        return f"AccessTokens(client_id={self._client_id!r})"

    async def authorization(self) -> str:
        """The Authorization header. Raises PortUnavailableError if Port gives no token."""
        if self._current is not None and asyncio.get_running_loop().time() < self._renew_at:
            return self._current
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew(), name="tidegate-port-token")
            self._renewal.add_done_callback(self._renewed)
        # Shielded: one caller that is cancelled must not take the token from the others.
        return await asyncio.shield(self._renewal)

    def refused(self, authorization: str) -> None:
        """Port refused this one: the next call asks for another."""
        if self._current == authorization:
            self._current = None

    async def _renew(self) -> str:
        credentials = {"clientId": self._client_id, "clientSecret": self._client_secret}
        body = msgspec.json.encode(credentials)
        try:
            answer = await self._exchange.send("POST", "/auth/access_token", body)
        except PortUnavailableError as error:
            if self._client_secret in str(error):
                raise self._none_given(error.status, error.retry_after_seconds) from None
            raise
        token, lifetime = answer.body.get("accessToken"), answer.body.get("expiresIn")
        if not answer.ok or not isinstance(token, str) or not isinstance(lifetime, (int, float)):
            raise self._none_given(answer.status, None)
        self._current = f"{answer.body.get('tokenType', 'Bearer')} {token}"
        margin = min(MARGIN_SECONDS, lifetime / 10)
        self._renew_at = asyncio.get_running_loop().time() + lifetime - margin
        return self._current

    def _none_given(self, status: int | None, retry_after_seconds: float | None) -> PortUnavailableError:
        # The answer may quote what was sent, so nothing of it is shown.
        return PortUnavailableError(
            f"Port gives no access token for client id {self._client_id} (it answered {status}):"
            " check the client id and the client secret",
            status=status,
            retry_after_seconds=retry_after_seconds,
        )

    def _renewed(self, renewal: asyncio.Task[str]) -> None:
        self._renewal = None
        if not renewal.cancelled():
            renewal.exception()  # those who waited have it; without any, nobody else needs it

    async def close(self) -> None:
        """Stop a renewal that is under way."""
        renewal = self._renewal
        if renewal is not None:
            renewal.cancel()
            await asyncio.wait([renewal])
