"""Which part of a request tells one delivery from another, so that a sender's retry is stored once.

A wrong candidate is worse than none: two different events that share a value would become one. So only headers
that a sender documents as unique to a delivery are taken by default, and nothing from the body.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec

from tidegate.core.errors import ConfigurationError
from tidegate.core.events import Json

DEFAULT_HEADERS = (
    "x-github-delivery",
    "idempotency-key",  # GitLab ≥ 17.4; by its IETF draft the same for retries, and only for them
    "webhook-id",  # Standard Webhooks, GitLab's signing tokens
    "svix-id",
    "x-atlassian-webhook-identifier",
    "x-request-uuid",  # Bitbucket Cloud
    "x-mlflow-delivery-id",
    "linear-delivery",
    "x-shopify-webhook-id",
    "x-snyk-transport-id",
    "x-zendesk-webhook-invocation-id",
    "x-amz-sns-message-id",
    "i-twilio-idempotency-token",
)
"""Left out on purpose: X-Request-Id and Request-Id, because proxies and tracing set them anew or reuse them;
X-Gitlab-Event-UUID, because GitLab gives the same value to every webhook of a recursive chain;
X-Gitlab-Webhook-UUID, X-Hook-UUID and X-Webhook-Id, which name the subscription, not the delivery; ce-id, which is
unique only together with ce-source."""

_LONGEST_ID = 200


class BodyPath:
    """A dotted path through objects ("event.id"), read from JSON without building the rest of the document."""

    def __init__(self, path: str) -> None:
        keys = path.split(".")
        if not all(keys) or not path.isprintable() or '"' in path or "\\" in path:
            raise ConfigurationError(f"the body path {path!r} cannot be used: write it as 'id' or 'event.id'")
        level: Any = Any
        for key in reversed(keys):
            level = msgspec.defstruct("Level", [("value", level, None)], rename={"value": key})
        self._decoder = msgspec.json.Decoder(level)

    def find(self, document: bytes) -> str | None:
        """The string or integer at the path, as text; None if there is none, or no JSON to look in."""
        try:
            found: Json = self._decoder.decode(document)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        while isinstance(found, msgspec.Struct):
            found = getattr(found, "value", None)
        if isinstance(found, str) or (isinstance(found, int) and not isinstance(found, bool)):
            return str(found)
        return None


@dataclass(frozen=True, slots=True)
class DeliveryIdRule:
    """Candidates in order; the first one that holds a value counts. Headers come before body paths.

    Header names are matched in any case. A body path is written with dots, as in "event.id", and leads
    through objects to a string or an integer. Raises ConfigurationError for a path that cannot be one.
    """

    headers: tuple[str, ...] = DEFAULT_HEADERS
    body_paths: tuple[str, ...] = ()
    _paths: tuple[BodyPath, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", tuple(name.lower() for name in self.headers))
        object.__setattr__(self, "_paths", tuple(BodyPath(path) for path in self.body_paths))

    def delivery_id(self, headers: Mapping[str, str], document: bytes) -> str | None:
        """The id of a delivery, fit to store. `headers` has lower-case names; `document` is the JSON."""
        for name in self.headers:
            value = headers.get(name)
            if value and (text := bounded_id(value)):
                return text
        for path in self._paths:
            if text := bounded_id(path.find(document) or ""):
                return text
        return None


def bounded_id(text: str) -> str | None:
    """A delivery id fit to store: itself, or its digest if it is long or unprintable; None if blank."""
    text = text.strip()
    if not text:
        return None
    if len(text) <= _LONGEST_ID and text.isprintable():
        return text
    return "blake2b:" + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
