"""Who may talk to the Port stub: access tokens that expire, and a user agent that names the integration."""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from tidegate.core.events import Json
from tidegate.targets.shapes import is_object
from tidegate.testing.port_stub_shapes import StubRefusalError, malformed

_USER_AGENT = re.compile(r"[\w.+-]+/[^/\s]+/[^/\s]+(/[^\s]*)?")


@dataclass(slots=True)
class Access:
    """Issues and checks tokens. `monotonic` says what time it is, in seconds."""

    client_id: str
    client_secret: str
    lifetime_seconds: float
    monotonic: Callable[[], float]
    _tokens: dict[str, float] = field(default_factory=dict[str, float], repr=False)

    def issue(self, body: Json) -> dict[str, Json]:
        """Answer POST /v1/auth/access_token. Raises StubRefusalError."""
        if not is_object(body) or set(body) != {"clientId", "clientSecret"}:
            raise malformed("the body must have clientId and clientSecret, nothing else")
        if (body["clientId"], body["clientSecret"]) != (self.client_id, self.client_secret):
            raise StubRefusalError(401, "invalid_credentials", "unknown client id or wrong client secret")
        token = secrets.token_hex(16)
        self._tokens[token] = self.monotonic() + self.lifetime_seconds
        return {
            "ok": True,
            "accessToken": token,
            "expiresIn": self.lifetime_seconds,
            "tokenType": "Bearer",
        }

    def check(self, authorization: str) -> None:
        """Raises StubRefusalError (401) unless the header carries a live token."""
        kind, _, token = authorization.partition(" ")
        if kind != "Bearer" or self._tokens.get(token, 0.0) <= self.monotonic():
            raise StubRefusalError(401, "unauthorized", "the access token is missing, unknown or expired")

    def expire_all(self) -> None:
        """Every token issued so far is refused from now on."""
        self._tokens.clear()


def check_user_agent(user_agent: str) -> None:
    """Port derives an entity's datasource from the user agent, so it must name product, type and identifier.

    Raises StubRefusalError (422).
    """
    if _USER_AGENT.fullmatch(user_agent) is None:
        raise malformed(
            f"User-Agent must be product/integration-type/integration-identifier, not {user_agent!r}"
        )
