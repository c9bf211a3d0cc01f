"""Tracing, as the parts of Tidegate see it: spans around what they do, carried over processes in headers.

The context travels as W3C Trace Context: in the request's headers, and then in those stored with the event,
so that whichever process routes or processes it, now or after a restart, carries the same trace on.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from enum import StrEnum
from typing import Literal, NamedTuple, Protocol, TypeAlias

SpanValue: TypeAlias = str | bool | int | float
Carrier: TypeAlias = Mapping[str, str]
"""Headers, `traceparent` and `tracestate` among them if they carry a trace."""


class SpanKind(StrEnum):
    INTERNAL = "internal"
    SERVER = "server"
    CONSUMER = "consumer"
    CLIENT = "client"


class Span(Protocol):
    """Something that goes on."""

    def note(self, **values: SpanValue) -> None:
        """Say more of it: `run_id=7` becomes the attribute `tidegate.run_id`."""
        ...

    def link(self, carrier: Carrier) -> None:
        """It is about another trace's span, too."""
        ...

    def failed(self, reason: str) -> None:
        """It did not go well. An exception that leaves the span says so by itself."""
        ...


class Tracing(Protocol):
    """Makes spans."""

    @property
    def enabled(self) -> bool:
        """False if nothing comes of spans: do no work for them alone."""
        ...

    def span(
        self,
        name: str,
        span_kind: SpanKind = SpanKind.INTERNAL,
        parent: Carrier | None = None,
        links: Sequence[Carrier] = (),
        **values: SpanValue,
    ) -> AbstractContextManager[Span]:
        """A span until the block ends: below the one that is open here, or below the one that `parent` carries
        (a new trace if it carries none). `links` are others that it is about.
        """
        ...

    def carried(self) -> dict[str, str]:
        """Headers that carry the open span; none if there is none."""
        ...


class _NoSpan:
    """One for all: there is nothing to keep."""

    def note(self, **values: SpanValue) -> None:
        """Nobody listens."""

    def link(self, carrier: Carrier) -> None:
        """Nobody listens."""

    def failed(self, reason: str) -> None:
        """Nobody listens."""

    def __enter__(self) -> "_NoSpan":
        return self

    def __exit__(self, *_: object) -> Literal[False]:
        return False


NO_SPAN = _NoSpan()
"""A span of which nothing comes."""


class NoTracing:
    """Tracing that is off, at next to no cost."""

    enabled = False

    def span(
        self,
        name: str,
        span_kind: SpanKind = SpanKind.INTERNAL,
        parent: Carrier | None = None,
        links: Sequence[Carrier] = (),
        **values: SpanValue,
    ) -> _NoSpan:
        """No span."""
        return NO_SPAN

    def carried(self) -> dict[str, str]:
        """Nothing."""
        return {}


NO_TRACING = NoTracing()


class Subject(NamedTuple):
    """What a task works on."""

    event_id: str
    trace_id: str
    run_id: int | None = None


SUBJECT: ContextVar[Subject | None] = ContextVar("tidegate_subject", default=None)
"""What this task works on: log lines, an author's own among them, say so. Nothing else may depend on it."""
