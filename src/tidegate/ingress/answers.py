"""Every answer is JSON with a length; a refusal names itself in a word and says how to mend it, quoting nothing secret."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from tidegate.core.events import Json

HeaderPairs = list[tuple[bytes, bytes]]

_SAFE_LINES = b"cache-control: no-store\r\nx-content-type-options: nosniff\r\n"
_JSON_LINES = b"content-type: application/json\r\n" + _SAFE_LINES
_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus
}


class Answer(msgspec.Struct, frozen=True):
    """A response: status, header lines (content-length included, each with its end) and body.

    `close` ends the connection.
    """

    status: int
    header_lines: bytes
    body: bytes
    close: bool = False

    def wire(self, common_lines: bytes, *, close: bool = False, bodiless: bool = False) -> bytes:
        """As it goes over the wire (RFC 9112 §4). `bodiless`: to HEAD, which gets the head alone."""
        last = b"connection: close\r\n\r\n" if close or self.close else b"\r\n"
        status_line = _STATUS_LINES.get(self.status) or b"HTTP/1.1 %d \r\n" % self.status
        body = b"" if bodiless else self.body
        return b"".join((status_line, common_lines, self.header_lines, last, body))


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
        return json_answer(self.status, content, extra, close=self.close)


def json_answer(
    status: int,
    content: Mapping[str, Json],
    extra: Sequence[tuple[bytes, bytes]] = (),
    *,
    close: bool = False,
) -> Answer:
    """An answer whose body is the content as JSON."""
    body = msgspec.json.encode(content)
    lines = b"%bcontent-length: %d\r\n%b" % (_JSON_LINES, len(body), lines_of(extra))
    return Answer(status, lines, body, close)


def plain_answer(
    status: int, body: bytes = b"", content_type: str = "", extra: Sequence[tuple[bytes, bytes]] = ()
) -> Answer:
    """An answer with a body of another type, or with none. Raises ValueError for headers that cannot be sent."""
    pairs = list(extra)
    if content_type:
        pairs.append((b"content-type", content_type.encode("latin-1")))
    lines = b"content-length: %d\r\n%b%b" % (len(body), _SAFE_LINES, lines_of(pairs))
    return Answer(status, lines, body)


def lines_of(pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Headers as they go over the wire, each with its end. Raises ValueError for what would be more than a line."""
    for name, value in pairs:
        if any(end in name or end in value for end in (b"\r", b"\n", b"\0")):
            raise ValueError(f"the header {name!r} has more than one line")
    return b"".join([b"%b: %b\r\n" % pair for pair in pairs])


def refusal_bytes(refusal: Refusal, common_lines: bytes) -> bytes:
    """A refusal as it goes over the wire, for requests that are answered by the listener itself."""
    return refusal.answer().wire(common_lines)
