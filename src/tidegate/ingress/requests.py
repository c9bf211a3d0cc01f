"""A request as the ingress reads it: headers joined and decoded once, body left unread."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from tidegate.ingress.limits import ProxyTrust
from tidegate.ingress.senders import Sender, addressed_url, sender_of

Scope: TypeAlias = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """`headers` has lower-case names; repeated ones are joined by ", " (RFC 9110 §5.3)."""

    method: str
    path: str
    raw_path: str
    query: str
    scheme: str
    headers: dict[str, str]
    sender: Sender

    def url(self, public_url: str) -> str:
        """The URL as the sender addressed it."""
        return addressed_url(
            public_url, self.scheme, self.raw_path, self.query, self.headers, self.sender.proxied
        )


def read_request(scope: Scope, trust: ProxyTrust) -> Request:
    """Read an ASGI HTTP scope. Bytes outside ASCII are read as Latin-1, which every byte is."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    client = scope.get("client")
    return Request(
        method=scope["method"],
        path=scope["path"],
        raw_path=scope.get("raw_path", b"").decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        scheme=scope["scheme"],
        headers=headers,
        sender=sender_of(client[0] if client else "", headers, trust),
    )
