"""Spans by OpenTelemetry's API: whatever SDK the process has receives them."""

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager

from opentelemetry.context import Context
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind as OtelKind
from opentelemetry.trace import Status, StatusCode, TracerProvider, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tidegate.core.traces import NO_SPAN, Carrier, Span, SpanKind, SpanValue

_KINDS = {
    SpanKind.INTERNAL: OtelKind.INTERNAL,
    SpanKind.SERVER: OtelKind.SERVER,
    SpanKind.CONSUMER: OtelKind.CONSUMER,
    SpanKind.CLIENT: OtelKind.CLIENT,
}
_EMPTY = Context()
_PROPAGATOR = TraceContextTextMapPropagator()


class OtelTracing:
    """Makes spans with a provider of the OpenTelemetry API."""

    enabled = True

    def __init__(self, provider: TracerProvider, version: str) -> None:
        self._tracer = provider.get_tracer("tidegate", version)

    def span(
        self,
        name: str,
        span_kind: SpanKind = SpanKind.INTERNAL,
        parent: Carrier | None = None,
        links: Sequence[Carrier] = (),
        **values: SpanValue,
    ) -> AbstractContextManager[Span]:
        """A span until the block ends (see Tracing). Below a span that is not sampled there is none."""
        if parent is None:
            open_here = get_current_span()
            if open_here.get_span_context().is_valid and not open_here.is_recording():
                return NO_SPAN
        return self._opened(name, span_kind, parent, links, values)

    @contextmanager
    def _opened(
        self,
        name: str,
        span_kind: SpanKind,
        parent: Carrier | None,
        links: Sequence[Carrier],
        values: dict[str, SpanValue],
    ) -> Generator["_Span"]:
        context = None if parent is None else _PROPAGATOR.extract(parent, _EMPTY)
        with self._tracer.start_as_current_span(
            name,
            context,
            _KINDS[span_kind],
            attributes=_attributes(values),
        ) as opened:
            span = _Span(opened)
            for carrier in links:
                span.link(carrier)
            yield span

    def carried(self) -> dict[str, str]:
        """Headers that carry the open span."""
        headers: dict[str, str] = {}
        _PROPAGATOR.inject(headers)
        return headers


class _Span:
    def __init__(self, span: OtelSpan) -> None:
        self._span = span

    def note(self, **values: SpanValue) -> None:
        self._span.set_attributes(_attributes(values))

    def link(self, carrier: Carrier) -> None:
        context = get_current_span(_PROPAGATOR.extract(carrier, _EMPTY)).get_span_context()
        if context.is_valid:
            self._span.add_link(context)

    def failed(self, reason: str) -> None:
        self._span.set_status(Status(StatusCode.ERROR, reason))


def _attributes(values: dict[str, SpanValue]) -> dict[str, SpanValue]:
    """Our own names, in a namespace of ours."""
    return {f"tidegate.{name}": value for name, value in values.items()}
