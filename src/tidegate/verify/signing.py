"""Making signed requests: what `tidegate send` and the authors' test kit put before a verifier."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

from tidegate.core.errors import ConfigurationError
from tidegate.core.events import EventHeaders
from tidegate.core.verification import SignedRequest, Verifier


@runtime_checkable
class Signer(Protocol):
    """A verifier that holds what its sender signs with."""

    def sign(self, request: SignedRequest, delivery_id: str) -> SignedRequest:
        """The request as the sender would make it. Raises ConfigurationError if that cannot be done."""
        ...


def sign(
    verifier: Verifier,
    body: bytes,
    *,
    now: datetime,
    delivery_id: str,
    url: str = "http://127.0.0.1:8000/integration/webhook",
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> SignedRequest:
    """A delivery of `body` that `verifier` accepts at `now` (with a time zone).

    Send the result's `url`, `headers` and `body` as they are: some senders put the id or the time into the
    body, and some sign the URL. Raises ConfigurationError for senders that sign with a key of their own
    (aws_sns, gcp_pubsub, ed25519), for a secret that is missing, and for a body that cannot hold what the
    sender puts into it.
    """
    if not isinstance(verifier, Signer):
        raise ConfigurationError(
            f"{verifier.name} is signed with a key that only the sender holds: no request can be signed here"
        )
    parts = urlsplit(url)
    draft = SignedRequest(
        method="POST",
        path=parts.path.removeprefix("/integration"),
        query=parts.query,
        headers=EventHeaders({"Content-Type": content_type, **(headers or {})}),
        body=body,
        url=url,
        now=now,
    )
    return verifier.sign(draft, delivery_id)
