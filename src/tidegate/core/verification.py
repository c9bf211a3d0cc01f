"""Edge verification: what a verifier is asked about a request, and what it may answer.

The ingress asks before anything is stored; `tidegate.verify` answers. Pure: a verifier computes, it never waits.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from tidegate.core.events import EventHeaders

MASKED = "***"
"""What stands in a stored header whose value was a secret or a signature."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request to `/integration/<path>`, as its sender made it.

    `method` is in upper case: POST for deliveries; GET and OPTIONS are shown to verifiers too, with an empty
    body, because some senders prove the endpoint that way. `path` is the registered path ("/webhook").
    `query` is the raw query string without its "?". `body` holds the raw bytes, before any parsing. `url` is
    the whole URL that the sender addressed, query included (Twilio signs it). `now` has a time zone.
    """

    method: str
    path: str
    query: str
    headers: EventHeaders
    body: bytes
    url: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Verified:
    """The request is from who it claims to be. `delivery_id` if the scheme carries one and it was checked."""

    delivery_id: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """It is not, or cannot be shown to be. `reason` is for logs and metrics, never for the sender: a short
    fixed text that quotes neither secrets nor what the request claimed.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Challenge:
    """The sender asks for proof that this endpoint expects it: answer this, store nothing."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class KeysNeeded:
    """The verifier must fetch public keys before it can decide (AWS SNS, GCP Pub/Sub).

    The ingress awaits `fetch` in bounded time and asks once more; still KeysNeeded, an error or a time-out is
    answered with 503, so that the sender tries again: an outage of the keys' host refuses nobody for good.
    """

    fetch: Callable[[], Awaitable[None]]


Verification: TypeAlias = Verified | Refused | Challenge | KeysNeeded


class Verifier(Protocol):
    """Decides whether a request is from the sender it claims to be. Fails closed; compares in constant time."""

    @property
    def name(self) -> str:
        """For logs and metrics: `github`, `slack`, …"""
        ...

    @property
    def masked_headers(self) -> frozenset[str]:
        """Lower-case names of the headers that carry secrets or signatures, masked before the event is stored."""
        ...

    def verify(self, request: SignedRequest) -> Verification:
        """Decide. Never raises, whatever the request holds, and never blocks."""
        ...
