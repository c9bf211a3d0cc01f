"""Sends spans to a collector by OTLP over HTTP. Where to, and how many, stands in OpenTelemetry's own variables."""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version

from opentelemetry.trace import ProxyTracerProvider, TracerProvider, get_tracer_provider, set_tracer_provider

from tidegate.core.errors import ConfigurationError
from tidegate.core.samples import Process
from tidegate.telemetry.traces import OtelTracing

FLUSH_SECONDS = 3.0
"""How long the end of a process waits for its last spans to be sent."""


@asynccontextmanager
async def otlp_tracing(process: Process) -> AsyncGenerator[OtelTracing]:
    """Tracing by the process's tracer provider if somebody has set one, else by one that sends to a collector.

    Raises ConfigurationError if the packages for that are missing.
    """
    known = get_tracer_provider()
    if not isinstance(known, ProxyTracerProvider):
        yield OtelTracing(known, version("tidegate"))
        return
    provider, shutdown = _exporting(process)
    set_tracer_provider(provider)  # an author's own spans, and those of instrumented libraries, join ours
    try:
        yield OtelTracing(provider, version("tidegate"))
    finally:
        await _within(FLUSH_SECONDS, shutdown)


def _exporting(process: Process) -> tuple[TracerProvider, Callable[[], None]]:
    """A provider that sends to a collector, and how to end it, which may take long."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider as SdkProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigurationError(
            f"traces need the extra `otel` ({error.name} is missing): pip install 'tidegate[otel]', or set"
            " TIDEGATE__TELEMETRY__TRACES=off"
        ) from None
    resource = Resource.create(
        {
            "service.name": os.environ.get("OTEL_SERVICE_NAME", "tidegate"),
            "service.version": version("tidegate"),
            "service.instance.id": process.id,
            "tidegate.role": process.role,
        }
    )
    provider = SdkProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider, provider.shutdown


async def _within(seconds: float, act: Callable[[], None]) -> None:
    """Do something that blocks, and wait for it for so long at most."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def work() -> None:
        try:
            act()
        finally:
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(done.set)

    threading.Thread(target=work, name="tidegate-traces", daemon=True).start()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await done.wait()
