"""Every answer is JSON with a length; a refusal names itself in a word and says how to mend it, quoting nothing secret."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from tidegate.core.events import Json

HeaderPairs = list[tuple[bytes, bytes]]

_JSON_HEADERS: HeaderPairs = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: status, headers (content-length included) and body."""

    status: int
    headers: HeaderPairs
    body: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not accepted: the `reason` that telemetry counts and the `detail` for the sender.

    `retry_after_seconds` becomes Retry-After, `allow` Allow. `close` ends the connection, for requests whose
    body is not going to be read. `signal` is what telemetry counts instead of `reason`, where it knows more
    than the sender should.
    """

    status: int
    reason: str
    detail: str = ""
    retry_after_seconds: int | None = None
    allow: str = ""
    close: bool = False
    signal: str = ""

    def answer(self) -> Answer:
        """The response that says so."""
        content: dict[str, Json] = {"error": self.reason}
        if self.detail:
            content["detail"] = self.detail
        extra: HeaderPairs = []
        if self.retry_after_seconds is not None:
            extra.append((b"retry-after", b"%d" % self.retry_after_seconds))
        if self.allow:
            extra.append((b"allow", self.allow.encode()))
        if self.close:
            extra.append((b"connection", b"close"))
        return json_answer(self.status, content, extra)


def json_answer(status: int, content: Mapping[str, Json], extra: HeaderPairs | None = None) -> Answer:
    """An answer whose body is the content as JSON."""
    body = msgspec.json.encode(content)
    return Answer(status, [*_JSON_HEADERS, (b"content-length", b"%d" % len(body)), *(extra or ())], body)


def plain_answer(
    status: int, body: bytes = b"", content_type: str = "", extra: HeaderPairs | None = None
) -> Answer:
    """An answer with a body of another type, or with none."""
    headers = [(b"content-length", b"%d" % len(body)), *_JSON_HEADERS[1:], *(extra or ())]
    if content_type:
        headers.append((b"content-type", content_type.encode("latin-1")))
    return Answer(status, headers, body)


def wire_bytes(refusal: Refusal, default_headers: HeaderPairs) -> bytes:
    """A refusal as it goes over the wire, for requests that never reach the application (RFC 9112 §4)."""
    answer = refusal.answer()
    phrase = HTTPStatus(answer.status).phrase
    head = [b"HTTP/1.1 %d %b\r\n" % (answer.status, phrase.encode())]
    head += [b"%b: %b\r\n" % pair for pair in [*default_headers, *answer.headers]]
    return b"".join([*head, b"\r\n", answer.body])
