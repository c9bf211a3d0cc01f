"""A request as the ingress reads it: headers joined and decoded once, body left unread."""

import msgspec

from tidegate.ingress.exchanges import RequestHead
from tidegate.ingress.limits import ProxyTrust
from tidegate.ingress.senders import Sender, addressed_url, sender_of


class Request(msgspec.Struct, frozen=True):
    """`headers` has lower-case names; repeated ones are joined by ", " (RFC 9110 §5.3)."""

    method: str
    path: str
    raw_path: str
    query: str
    headers: dict[str, str]
    sender: Sender

    def url(self, public_url: str) -> str:
        """The URL as the sender addressed it."""
        return addressed_url(public_url, self.raw_path, self.query, self.headers, self.sender.proxied)


def read_request(head: RequestHead, peer: str, trust: ProxyTrust) -> Request:
    """Read the head of a request from a peer. Bytes outside ASCII are read as Latin-1, which every byte is."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Request(
        head.method,
        head.path,
        head.raw_path.decode("latin-1"),
        head.query.decode("latin-1"),
        headers,
        sender_of(peer, headers, trust),
    )
