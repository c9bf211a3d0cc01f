"""Takes one delivery in, step by step: admit, read, unfold, verify, check, commit. The first refusal ends it.

A 202 is answered only after the engine has made the event durable.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, assert_never

from tidegate.core.errors import EngineUnavailableError
from tidegate.core.events import EventHeaders, IncomingEvent
from tidegate.core.forms import FORM_TYPE
from tidegate.core.ports import Accepted, BacklogFull, Clock, Duplicate, EnqueueOutcome
from tidegate.core.signals import EventAccepted, Telemetry
from tidegate.core.traces import NO_TRACING, SpanKind, Tracing
from tidegate.core.verification import Challenge, KeysNeeded, Refused, SignedRequest, Verified
from tidegate.ingress.answers import Answer, Refusal, json_answer, plain_answer
from tidegate.ingress.bodies import (
    BodyHold,
    BodyMemory,
    IncomingBody,
    declared_length,
    read_body,
    too_large,
)
from tidegate.ingress.delivery_ids import bounded_id
from tidegate.ingress.documents import check_document, document_of
from tidegate.ingress.encodings import Compressed, Identity, content_coding, decompress
from tidegate.ingress.limits import MIB, IngressLimits
from tidegate.ingress.policy import PathPolicy
from tidegate.ingress.requests import Request
from tidegate.ingress.tracing import trace_id_of
from tidegate.ingress.verifying import masked, verdict_on

_OFF_LOOP_BYTES = 64 * 1024
"""Larger compressed bodies are unfolded in a thread: zlib lets the event loop run meanwhile."""

_OFF_LOOP_DOCUMENT_BYTES = MIB
"""Larger documents are checked in a thread, so that walking them does not delay everybody else's answers."""

_OPEN = Verified()
"""What holds for a path without verifiers."""


class EventStore(Protocol):
    """The one verb of the Engine port that the ingress needs."""

    async def enqueue(self, event: IncomingEvent) -> EnqueueOutcome:
        """As tidegate.core.ports.Engine.enqueue."""
        ...


@dataclass(frozen=True, slots=True)
class Reception:
    """What every delivery needs. `new_id` makes event ids that sort by time."""

    engine: EventStore
    clock: Clock
    telemetry: Telemetry
    limits: IngressLimits
    memory: BodyMemory
    new_id: Callable[[], str]
    public_url: str
    tracing: Tracing = NO_TRACING

    async def take(self, request: Request, policy: PathPolicy, arriving: IncomingBody) -> Answer | Refusal:
        """Read a POST to a registered path and store it. Raises SenderGoneError."""
        if not self.tracing.enabled:
            return await self._take(request, policy, arriving)
        with self.tracing.span("receive", SpanKind.SERVER, request.headers, path=policy.path) as span:
            outcome = await self._take(request, policy, arriving)
            span.note(status=outcome.status)
            if outcome.status >= 500:
                span.failed(f"answered {outcome.status}")
            return outcome

    async def _take(self, request: Request, policy: PathPolicy, arriving: IncomingBody) -> Answer | Refusal:
        limit = policy.max_body_bytes or self.limits.max_body_bytes
        coding = self._admit(request, limit)
        if isinstance(coding, Refusal):
            return coding
        with BodyHold(self.memory) as hold:
            wire_body = await read_body(arriving, hold, self.limits, limit)
            if isinstance(wire_body, Refusal):
                return wire_body
            body = wire_body if isinstance(coding, Identity) else await self._unfold(wire_body, coding)
            if isinstance(body, Refusal):
                return body
            if not hold.grow_to(len(body)):
                return self._later("overloaded", "too many large bodies at once: send it again later")
            return await self._store(request, policy, body, wire_body)

    def _admit(self, request: Request, limit: int) -> Identity | Compressed | Refusal:
        """What can be said before a byte of the body is read."""
        declared = declared_length(request.headers.get("content-length"))
        if declared is not None and declared > limit:
            return too_large(limit)
        if (refusal := _unsupported_type(request)) is not None:
            return refusal
        if request.headers.get("transfer-encoding", "chunked").lower() != "chunked":
            return Refusal(415, "unsupported-encoding", "Transfer-Encoding can be chunked, alone", close=True)
        return content_coding(request.headers.get("content-encoding", ""))

    async def _unfold(self, body: bytes, coding: Compressed) -> bytes | Refusal:
        if len(body) > _OFF_LOOP_BYTES:
            return await asyncio.to_thread(decompress, body, coding, self.limits)
        return decompress(body, coding, self.limits)

    async def _store(
        self, request: Request, policy: PathPolicy, body: bytes, wire_body: bytes
    ) -> Answer | Refusal:
        """Verify, check and commit a body that is there."""
        verified = await self._verify(request, policy, body, wire_body) if policy.verifiers else _OPEN
        if not isinstance(verified, Verified):
            return verified
        document = document_of(body, request.headers.get("content-type", ""), self.limits)
        if isinstance(document, Refusal):
            return document
        if len(document) > _OFF_LOOP_DOCUMENT_BYTES:
            refusal = await asyncio.to_thread(check_document, document, self.limits)
        else:
            refusal = check_document(document, self.limits)
        if refusal is not None:
            return refusal
        signed_id = bounded_id(verified.delivery_id) if verified.delivery_id else None
        headers = _stored_headers(request, unfolded=body is not wire_body)
        if self.tracing.enabled:  # instead of the sender's, as W3C Trace Context asks of each hop
            headers = {**headers, **self.tracing.carried()}
        event = IncomingEvent(
            id=self.new_id(),
            path=policy.path,
            headers=masked(headers, policy),
            body=body,
            received_at=self.clock.now(),
            trace_id=trace_id_of(headers.get("traceparent")),
            delivery_id=signed_id or policy.delivery_ids.delivery_id(request.headers, document),
        )
        return await self._commit(event)

    async def _verify(
        self, request: Request, policy: PathPolicy, body: bytes, wire_body: bytes
    ) -> Verified | Answer | Refusal:
        signed = self.signed_request(request, policy, body)
        verdict = await verdict_on(policy.verifiers, signed, wire_body, self.limits.keys_timeout_seconds)
        match verdict:
            case Verified():
                return verdict
            case Refused(reason):
                return Refusal(401, "unauthorized", signal=f"unauthorized: {reason}")
            case Challenge():
                return challenge_answer(verdict)
            case KeysNeeded():
                return self._later("keys-unavailable", "the sender's public keys cannot be fetched now")
            case _:
                assert_never(verdict)

    def signed_request(self, request: Request, policy: PathPolicy, body: bytes) -> SignedRequest:
        """The request as verifiers see it."""
        return SignedRequest(
            method=request.method,
            path=policy.path,
            query=request.query,
            headers=EventHeaders.of_lower(request.headers),
            body=body,
            url=request.url(self.public_url),
            now=self.clock.now(),
        )

    async def _commit(self, event: IncomingEvent) -> Answer | Refusal:
        """Make the event durable, then say so."""
        start = self.clock.monotonic()
        try:
            outcome = await self.engine.enqueue(event)
        except EngineUnavailableError as error:
            wait = error.retry_after_seconds
            return self._later("engine-unavailable", "the event cannot be stored now", wait)
        seconds = self.clock.monotonic() - start
        match outcome:
            case Accepted():
                self.telemetry.emit(EventAccepted(event.path, event.id, len(event.body), seconds))
                return json_answer(202, {"status": "accepted", "id": event.id})
            case Duplicate(event_id):
                size = len(event.body)
                self.telemetry.emit(EventAccepted(event.path, event_id, size, seconds, duplicate=True))
                return json_answer(202, {"status": "duplicate", "id": event_id})
            case BacklogFull():
                return self._later("backlog-full", "too much work is waiting: send it again later")
            case _:
                assert_never(outcome)

    def _later(self, reason: str, detail: str, wait_seconds: float | None = None) -> Refusal:
        wait = max(round(wait_seconds or self.limits.retry_after_seconds), 1)
        return Refusal(503, reason, detail, retry_after_seconds=wait)


def challenge_answer(challenge: Challenge) -> Answer:
    """What a verifier wants answered, as it is."""
    extra = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in challenge.headers]
    return plain_answer(challenge.status, challenge.body, challenge.content_type, extra)


def media_type(request: Request) -> str:
    """Content-Type without its parameters, in lower case; empty if there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _unsupported_type(request: Request) -> Refusal | None:
    """None for JSON, for a form, and for no Content-Type at all, which is taken for JSON.

    Amazon SNS sends its JSON as text/plain; it is known by a header of its own.
    """
    kind = media_type(request)
    if kind in ("application/json", FORM_TYPE, "") or ("/" in kind and kind.endswith("+json")):
        return None
    if kind == "text/plain" and "x-amz-sns-message-type" in request.headers:
        return None
    detail = f"send application/json, a type that ends in +json, or {FORM_TYPE}"
    return Refusal(415, "unsupported-type", detail)


def _stored_headers(request: Request, *, unfolded: bool) -> dict[str, str]:
    """The headers as received; Content-Encoding goes with the encoding that was undone."""
    if not unfolded:
        return request.headers
    return {name: value for name, value in request.headers.items() if name != "content-encoding"}
