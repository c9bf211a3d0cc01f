"""Arbitrary bytes through the real listener: an answer or a closed connection, never a 5xx, never a false 202."""

import asyncio
import re
import zlib

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.core.events import MalformedPayloadError, decode_payload
from tidegate.ingress import IngressLimits, ListenerLimits, PathPolicy

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TYPES = ["application/json", "application/x+json", "application/x-www-form-urlencoded", "text/plain", ""]
CODINGS = ["", "identity", "gzip", "deflate", "br"]
token = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).map(str.encode)
field_value = st.binary(max_size=40).map(
    lambda value: re.sub(rb"[\x00-\x08\x0a-\x1f\x7f]", b"", value).strip()
)
KNOWN_NAMES = [
    b"content-type",
    b"content-encoding",
    b"expect",
    b"traceparent",
    b"x-forwarded-for",
    b"idempotency-key",
    b"connection",
    b"upgrade",
    b"authorization",
]


class Lab:
    """A listener that outlives one example, and a way to ask it from a plain function."""

    def __init__(self, edge, runner):
        self.edge = edge
        self._runner = runner

    def said_to(self, sent):
        """Everything that the listener says to these bytes, after which the sender half-closes."""

        async def exchange():
            wire = await self.edge.wire()
            try:
                await wire.send(sent)
                wire.finish_sending()
            except OSError:
                pass
            said = await wire.rest()
            await wire.close()
            self.edge.wires.clear()
            return said

        return self._runner.run(asyncio.wait_for(exchange(), 10))


@pytest.fixture
def lab(edge_of, signed):
    """Quick to give up on slow requests, so that no example waits long."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        opened = edge_of(
            policies=(PathPolicy("/webhook"), PathPolicy("/signed", verifiers=(signed(),))),
            limits=IngressLimits(body_grace_seconds=0.3),
            listener=ListenerLimits(header_timeout_seconds=0.3, linger_seconds=0.3),
        )
        edge = runner.run(opened.__aenter__())
        try:
            yield Lab(edge, runner)
        finally:
            runner.run(opened.__aexit__(None, None, None))


def statuses(said):
    return [int(status) for status in re.findall(rb"^HTTP/1\.1 (\d{3}) ", said, re.MULTILINE)]


def is_readable(body, content_type):
    """True if a processor can parse it, numbers beyond the range of a double set aside."""
    try:
        decode_payload(body, content_type)
    except MalformedPayloadError as error:
        return "out of range" in str(error)
    return True


@PATIENT
@given(
    body=st.binary(max_size=300) | st.text(max_size=100).map(str.encode),
    content_type=st.sampled_from(TYPES),
    coding=st.sampled_from(CODINGS),
    pack=st.booleans(),
)
def test_any_body_is_answered_and_202_means_that_processors_can_read_it(
    lab, body, content_type, coding, pack
):
    sent = zlib.compress(body) if pack and coding == "deflate" else body
    lab.edge.engine.events.clear()
    said = lab.said_to(
        b"POST /integration/webhook HTTP/1.1\r\nHost: h\r\nContent-Type: %b\r\nContent-Encoding: %b\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (content_type.encode(), coding.encode(), len(sent), sent)
    )
    [status] = statuses(said)
    assert status in {202, 400, 413, 415}
    events = lab.edge.engine.events
    assert len(events) == (status == 202)
    for event in events:
        assert is_readable(event.body, content_type)


@PATIENT
@given(
    headers=st.lists(st.tuples(st.sampled_from(KNOWN_NAMES) | token, field_value), max_size=12),
    path=st.sampled_from([b"/integration/webhook", b"/integration/signed", b"/readyz"]),
    method=st.sampled_from([b"POST", b"GET", b"HEAD", b"OPTIONS", b"DELETE"]),
)
def test_any_headers_are_answered_without_a_5xx(lab, headers, path, method):
    reserved = {b"content-length", b"transfer-encoding"}
    lines = b"".join(b"%b: %b\r\n" % pair for pair in headers if pair[0] not in reserved)
    lab.edge.engine.events.clear()
    said = lab.said_to(
        method + b" " + path + b" HTTP/1.1\r\nHost: h\r\n" + lines + b"Content-Length: 2\r\n\r\n{}"
    )
    found = [status for status in statuses(said) if status != 100]
    assert len(found) == 1
    assert found[0] < 500
    assert len(lab.edge.engine.events) == (found[0] == 202)


@PATIENT
@given(
    pieces=st.lists(
        st.sampled_from(
            [
                b"POST /integration/webhook HTTP/1.1\r\n",
                b"GET /healthz HTTP/1.1\r\n",
                b"Host: h\r\n",
                b"Content-Length: 2\r\n",
                b"Content-Length: 9\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
                b"Connection: close\r\n",
                b"Expect: 100-continue\r\n",
                b"\r\n",
                b"{}",
                b"2\r\n{}\r\n",
                b"0\r\n\r\n",
                b"0\r\nX: y\r\n\r\n",
            ]
        )
        | st.binary(max_size=20),
        max_size=14,
    )
)
def test_any_sequence_of_bytes_never_breaks_the_listener(lab, pieces):
    lab.edge.engine.events.clear()
    found = statuses(lab.said_to(b"".join(pieces)))
    assert all(status < 500 for status in found)
    assert found.count(202) <= len(lab.edge.engine.events)
    assert statuses(lab.said_to(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")) == [200]
