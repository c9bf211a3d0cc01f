"""One trace from the webhook to the write: over processes and retries, with links for what was coalesced."""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.pipeline.issues import MAPPING, IssueProcessor, KeyedIssueProcessor, issue
from tidegate import EventPayload, Integration, ResourceConfig, RetryableError, WebhookEventRawResults
from tidegate.app.clock import SystemClock, new_id
from tidegate.app.listeners import path_policies
from tidegate.config import Settings
from tidegate.core.traces import NO_SPAN, NO_TRACING
from tidegate.engines.memory import MemoryEngine
from tidegate.ingress import HttpServer, IngressApp
from tidegate.telemetry import configure_logging
from tidegate.telemetry.traces import OtelTracing
from tidegate.testing.harness import Harness, harness

SENDER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SENDER_TRACE = 0x0AF7651916CD43DD8448EB211C80319C
SENDER_SPAN = 0xB7AD6B7169203331
STEPS = ["load", "authenticate", "validate", "fetch", "map", "plan", "write"]


class Spans:
    """Tracing whose finished spans are kept here."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = OtelTracing(provider, "test")

    @property
    def all(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        [span] = self.named(name)
        return span

    def children(self, parent: ReadableSpan) -> list[ReadableSpan]:
        assert parent.context is not None
        found = [span for span in self.all if span.parent and span.parent.span_id == parent.context.span_id]
        return sorted(found, key=lambda span: span.start_time or 0)


def integration(directory: Path, processor: type[IssueProcessor]) -> Integration:
    resources = directory / ".port" / "resources"
    resources.mkdir(parents=True, exist_ok=True)
    (resources / "port-app-config.yml").write_text(MAPPING)
    made = Integration(directory)
    made.add_webhook_processor("/webhook", processor)
    return made


@asynccontextmanager
async def ingress(
    made: Integration, engine: MemoryEngine, running: Harness, spans: Spans
) -> AsyncGenerator[str]:
    app = IngressApp(
        path_policies(made, Settings()), engine, SystemClock(), running.signals, new_id, tracing=spans.tracing
    )
    server = HttpServer(app, "127.0.0.1", 0)
    yield f"http://{await server.start()}/integration/webhook"
    await server.stop()


async def post(url: str, payload: EventPayload, **headers: str) -> str:
    async with aiohttp.ClientSession() as session, session.post(url, json=payload, headers=headers) as answer:
        assert answer.status == 202
        return (await answer.json())["id"]


def traced(
    tmp_path: Path,
    processor: type[IssueProcessor],
    *payloads: EventPayload,
    start: bool = True,
    **headers: str,
) -> tuple[Spans, Spans, list[str]]:
    """The spans of an ingress and of a worker, each with a provider of its own, as in two processes."""
    at_ingress, at_worker, ids = Spans(), Spans(), list[str]()

    async def scenario() -> None:
        made, engine = integration(tmp_path, processor), MemoryEngine(SystemClock())
        async with harness(made, engine=engine, tracing=at_worker.tracing, workers=2) as running:
            async with ingress(made, engine, running, at_ingress) as url:
                for payload in payloads:
                    ids.append(await post(url, payload, **headers))
            await running.settle()

    asyncio.run(scenario())
    return at_ingress, at_worker, ids


def test_one_trace_from_the_senders_span_to_the_write(tmp_path: Path) -> None:
    at_ingress, at_worker, [event_id] = traced(tmp_path, KeyedIssueProcessor, issue(), traceparent=SENDER)
    received = at_ingress.one("receive")
    assert received.context is not None
    assert received.parent is not None
    assert (received.context.trace_id, received.parent.span_id) == (SENDER_TRACE, SENDER_SPAN)
    assert received.kind is SpanKind.SERVER
    assert dict(received.attributes or {}) == {"tidegate.path": "/webhook", "tidegate.status": 202}
    process = at_worker.one("process issue")
    for span in (at_worker.one("route"), process):
        assert span.context is not None
        assert span.parent is not None
        assert span.context.trace_id == SENDER_TRACE
        assert span.parent.span_id == received.context.span_id
        assert (span.attributes or {})["tidegate.event"] == event_id
    assert [span.name for span in at_worker.children(process)] == STEPS
    assert (process.attributes or {})["tidegate.outcome"] == "completed"
    [apply] = at_worker.children(at_worker.one("write"))
    assert (apply.name, apply.kind) == ("apply", SpanKind.CLIENT)
    assert {span.context.trace_id for span in at_worker.all if span.context} == {SENDER_TRACE}


def test_without_a_senders_trace_a_new_one_begins_and_the_event_says_which(tmp_path: Path) -> None:
    seen: list[str] = []

    class Remembering(KeyedIssueProcessor):
        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            seen.append(self.event.trace_id)
            return await super().handle_event(payload, resource_config)

    at_ingress, at_worker, _ = traced(tmp_path, Remembering, issue())
    received, process = at_ingress.one("receive"), at_worker.one("process issue")
    assert received.context is not None
    assert process.context is not None
    assert received.parent is None
    assert seen == [f"{received.context.trace_id:032x}"] == [f"{process.context.trace_id:032x}"]


def test_attempts_are_siblings_in_one_trace_and_errors_stand_in_their_spans(tmp_path: Path) -> None:
    class Flaky(KeyedIssueProcessor):
        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            if self.retry_count < 2:
                raise RetryableError("it is down")
            return await super().handle_event(payload, resource_config)

    at_ingress, at_worker, _ = traced(tmp_path, Flaky, issue())
    received = at_ingress.one("receive").context
    attempts = sorted(at_worker.named("process issue"), key=lambda span: span.start_time or 0)
    assert received is not None
    assert [span.parent.span_id for span in attempts if span.parent] == [received.span_id] * 3
    assert [(span.attributes or {})["tidegate.outcome"] for span in attempts] == [
        "retry",
        "retry",
        "completed",
    ]
    assert [(span.attributes or {})["tidegate.attempt"] for span in attempts] == [1, 2, 3]
    assert [span.status.status_code for span in attempts] == [
        StatusCode.ERROR,
        StatusCode.ERROR,
        StatusCode.UNSET,
    ]
    failed = at_worker.children(attempts[0])[-1]
    assert (failed.name, failed.status.status_code) == ("fetch", StatusCode.ERROR)
    assert "it is down" in (failed.status.description or "")


def test_what_was_coalesced_is_linked(tmp_path: Path) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(KeyedIssueProcessor):
        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            begun.set()
            await go_on.wait()
            return await super().handle_event(payload, resource_config)

    at_ingress, at_worker = Spans(), Spans()

    async def scenario() -> None:
        made, engine = integration(tmp_path, Slow), MemoryEngine(SystemClock())
        async with harness(made, engine=engine, tracing=at_worker.tracing) as running:
            async with ingress(made, engine, running, at_ingress) as url:
                await post(url, issue(state="1"))
                await begun.wait()
                for state in ("2", "3", "4"):
                    await post(url, issue(state=state))
                async with asyncio.timeout(20):
                    while (await engine.backlog()).queued_events:
                        await engine.wait(0.05)
                go_on.set()
            await running.settle()

    asyncio.run(scenario())
    received = [span.context.span_id for span in at_ingress.named("receive") if span.context]
    _, run = sorted(at_worker.named("process issue"), key=lambda span: span.start_time or 0)
    assert run.parent is not None
    assert run.parent.span_id == received[3]
    assert {link.context.span_id for link in run.links} == set(received[1:3])
    assert (run.attributes or {})["tidegate.events"] == 3


def test_a_request_to_the_target_for_many_runs_is_linked_to_each(tmp_path: Path) -> None:
    together: list[asyncio.Event] = []

    class Together(KeyedIssueProcessor):
        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            together.append(asyncio.Event())
            if len(together) == 2:
                for each in together:
                    each.set()
            await together[0].wait()
            return await super().handle_event(payload, resource_config)

    _, at_worker, _ = traced(tmp_path, Together, issue(1, "A"), issue(2, "B"))
    writes = [span.context.span_id for span in at_worker.named("write") if span.context]
    applied = at_worker.named("apply")
    linked = {link.context.span_id for span in applied for link in span.links}
    below = {span.parent.span_id for span in applied if span.parent}
    assert linked | below == set(writes)


def test_an_authors_own_spans_are_below_their_step(tmp_path: Path) -> None:
    at_worker_provider: list[Spans] = []

    class Author(KeyedIssueProcessor):
        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            with at_worker_provider[0].tracing.span("authors own"):
                return await super().handle_event(payload, resource_config)

    spans = Spans()
    at_worker_provider.append(spans)

    async def scenario() -> None:
        async with harness(integration(tmp_path, Author), tracing=spans.tracing) as running:
            await running.deliver("/webhook", issue())
            await running.settle()

    asyncio.run(scenario())
    assert [span.name for span in spans.children(spans.one("fetch"))] == ["authors own"]


@pytest.mark.parametrize(
    "wrong", ["", "nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "ff" + SENDER[2:]]
)
def test_a_traceparent_that_is_none_begins_a_new_trace(tmp_path: Path, wrong: str) -> None:
    at_ingress, at_worker, _ = traced(tmp_path, KeyedIssueProcessor, issue(), traceparent=wrong)
    received = at_ingress.one("receive")
    assert received.parent is None
    assert received.context is not None
    assert {span.context.trace_id for span in at_worker.all if span.context} == {received.context.trace_id}


def test_off_is_off() -> None:
    with NO_TRACING.span("anything", parent={"traceparent": SENDER}, number=1) as span:
        span.note(more="of it")
        span.link({})
        span.failed("never")
        assert NO_TRACING.carried() == {}
    assert not NO_TRACING.enabled


def test_the_reference_names_every_span(tmp_path: Path) -> None:
    at_ingress, at_worker, _ = traced(tmp_path, KeyedIssueProcessor, issue())
    made = {(span.name, span.kind.name.lower()) for span in (*at_ingress.all, *at_worker.all)}
    page = Path("docs/reference/traces.md").read_text()
    documented = {
        (name.replace("<kind>", "issue"), kind)
        for names, kind in re.findall(r"^\| (`.*?`) \| (\w+) \|", page, re.MULTILINE)
        for name in re.findall(r"`(.*?)`", names)
    }
    assert documented == made


def test_log_lines_of_an_author_carry_the_ids_of_what_is_worked_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Logging(KeyedIssueProcessor):
        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            logging.getLogger("author").warning("odd: %s", payload["issue"]["key"])
            return await super().handle_event(payload, resource_config)

    root, ours = logging.getLogger(), logging.getLogger("tidegate")
    before = (list(root.handlers), root.level, ours.level)
    configure_logging("info", "json")
    try:
        at_ingress, _, [event_id] = traced(tmp_path, Logging, issue())
    finally:
        root.handlers[:], root.level, ours.level = before
    [line] = capsys.readouterr().err.splitlines()
    received = at_ingress.one("receive").context
    assert received is not None
    told = msgspec.json.decode(line)
    assert (told["logger"], told["message"]) == ("author", "odd: A")
    assert (told["event_id"], told["trace_id"], told["run_id"]) == (event_id, f"{received.trace_id:032x}", 1)


def test_below_a_span_that_is_not_sampled_there_is_none() -> None:
    spans = Spans()
    unsampled = {"traceparent": SENDER[:-1] + "0"}
    with spans.tracing.span("process", parent=unsampled) as outer, spans.tracing.span("fetch") as inner:
        assert inner is NO_SPAN
        assert outer is not NO_SPAN
        assert spans.tracing.carried()["traceparent"].endswith("-00")
        with spans.tracing.span("apply", parent={"traceparent": SENDER}):
            pass
    assert [span.name for span in spans.all] == ["apply"]
