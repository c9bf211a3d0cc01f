"""Traces as a collector gets them, from the real processes of a service; and what happens without a collector."""

import time
from pathlib import Path

import pytest

from tests.app.service_process import Service, tidegate, write_integration
from tests.telemetry.collector import Collector

TRACE = "0af7651916cd43dd8448eb211c80319c"
SENDERS_SPAN = "b7ad6b7169203331"
ISSUE = {"id": 1, "title": "Issue", "state": "open"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_integration(tmp_path / "integration")


def test_one_trace_over_the_processes_of_a_service(directory: Path) -> None:
    with Collector() as collector:
        env = {"TIDEGATE__TELEMETRY__TRACES": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        with Service(directory, env=env) as service:
            assert service.post(ISSUE, headers={"traceparent": f"00-{TRACE}-{SENDERS_SPAN}-01"}) == 202
            service.settle()
            assert service.terminate() == 0
        spans = {span.name: span for span in collector.spans}
    assert {span.trace_id for span in collector.spans} == {TRACE}
    assert {span.service for span in collector.spans} == {"tidegate"}
    assert spans["receive"].parent_id == SENDERS_SPAN
    assert spans["route"].parent_id == spans["process issue"].parent_id == spans["receive"].span_id
    assert spans["apply"].parent_id == spans["write"].span_id
    assert spans["receive"].role == "ingress-1"
    assert spans["process issue"].role == "worker-1"


def test_traces_that_the_sender_does_not_want_are_not_sent(directory: Path) -> None:
    with Collector() as collector:
        env = {"TIDEGATE__TELEMETRY__TRACES": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        with Service(directory, env=env) as service:
            assert service.post(ISSUE, headers={"traceparent": f"00-{TRACE}-{SENDERS_SPAN}-00"}) == 202
            service.settle()
            assert service.terminate() == 0
    assert collector.spans == []


def test_without_a_collector_events_are_processed_and_the_service_ends_in_time(directory: Path) -> None:
    env = {"TIDEGATE__TELEMETRY__TRACES": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with Service(directory, env=env) as service:
        assert service.post(ISSUE) == 202
        service.settle()
        assert set(service.entities()) == {"1"}
        began = time.monotonic()
        assert service.terminate() == 0
        assert time.monotonic() - began < 10


def test_without_the_extra_the_refusal_says_how_to_get_it(directory: Path) -> None:
    (directory / "main.py").write_text(
        "import sys\nsys.modules['opentelemetry.exporter.otlp.proto.http.trace_exporter'] = None\n"
        + (directory / "main.py").read_text()
    )
    env = {"TIDEGATE__TELEMETRY__TRACES": "otlp"}
    result = tidegate("run", "main:integration", "--port", "0", "--admin-port", "0", cwd=directory, env=env)
    message = result.stderr.decode()
    assert result.returncode == 2
    assert "pip install 'tidegate[otel]'" in message
    assert "Traceback" not in message
