"""Opens tracing as the settings ask for it."""

from contextlib import AsyncExitStack

from tidegate.config import Settings
from tidegate.core.samples import Process
from tidegate.core.traces import NO_TRACING, Tracing


async def open_tracing(stack: AsyncExitStack, settings: Settings, process: Process) -> Tracing:
    """Tracing until the stack is closed. Raises ConfigurationError if the extra `otel` is missing."""
    if settings.telemetry.traces == "off":
        return NO_TRACING
    from tidegate.telemetry.otlp import otlp_tracing  # OpenTelemetry is loaded by those who use it

    return await stack.enter_async_context(otlp_tracing(process))
