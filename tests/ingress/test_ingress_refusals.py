"""Every bad input has a clear answer, is counted, and is not stored."""

import asyncio
import gzip
import json

import pytest

from tidegate.ingress import IngressLimits, PathPolicy

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "reason", "says"),
    [
        (b"", "bad-json", "it is empty"),
        (b"  ", "bad-json", "it is empty"),
        (b"{", "bad-json", "ends too early, after 1 bytes"),
        (b'{"a": 1,}', "bad-json", "byte 8"),
        (b'{"a": NaN}', "bad-json", "byte 6"),
        (b'{"a": Infinity}', "bad-json", "byte 6"),
        (b'{"a": 01}', "bad-json", "byte 7"),
        (b"{'a': 1}", "bad-json", "byte 1"),
        (b'{"a": 1} {"b": 2}', "bad-json", "trailing characters"),
        (b'{"a": "\xff"}', "bad-json", "UTF-8 at byte 7"),
        (b'\xef\xbb\xbf{"a": 1}', "bad-json", "byte order mark"),
        (b'{"a": "\x01"}', "bad-json", "byte 7"),
        ('{"a": 1}'.encode("utf-16"), "bad-json", "UTF-8 at byte 0"),
        (b"[1, 2]", "not-an-object", "array"),
        (b'"text"', "not-an-object", "str"),
        (b"12", "not-an-object", "int"),
        (b"null", "not-an-object", "null"),
        (b"true", "not-an-object", "bool"),
        (b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}", "too-deep", "200 levels"),
        (b'{"a": ' + b"[" * 50_000, "too-deep", "200 levels"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "too-deep", "200 levels"),
    ],
)
def test_bodies_that_are_no_json_object(serve, body, reason, says):
    async def scenario(edge):
        reply = await edge.post(body)
        assert reply.status == 400
        assert reply.json["error"] == reason
        assert says in reply.json["detail"]
        assert edge.engine.events == []
        assert edge.signals.refused == [("/webhook", 400, reason)]

    serve(scenario)


@pytest.mark.parametrize(
    ("form", "says"),
    [
        (b"", "empty"),
        (b"&&", "empty"),
        (b"payload=%7B&a=\xff", "not UTF-8"),
        (b"&".join(b"k%d=1" % n for n in range(1_001)), "more than 1000 fields"),
    ],
)
def test_forms_that_cannot_be_read(serve, form, says):
    async def scenario(edge):
        reply = await edge.post(form, content_type=FORM)
        assert (reply.status, reply.json["error"]) == (400, "bad-form")
        assert says in reply.json["detail"]
        assert edge.engine.events == []

    serve(scenario)


def test_form_whose_payload_is_no_object(serve):
    async def scenario(edge):
        assert (await edge.post(b"payload=%5B1%5D", content_type=FORM)).json["error"] == "not-an-object"
        assert (await edge.post(b"payload=hello", content_type=FORM)).json["error"] == "bad-json"

    serve(scenario)


@pytest.mark.parametrize(
    "content_type", ["text/html", "application/xml", "multipart/form-data; boundary=x", "json", "+json"]
)
def test_other_content_types(serve, content_type):
    async def scenario(edge):
        reply = await edge.post(content_type=content_type)
        assert (reply.status, reply.json["error"]) == (415, "unsupported-type")
        assert "application/json" in reply.json["detail"]
        assert edge.engine.events == []

    serve(scenario)


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "gzip, identity", "x"])
def test_other_content_encodings(serve, encoding):
    async def scenario(edge):
        reply = await edge.post(content_encoding=encoding)
        assert (reply.status, reply.json["error"]) == (415, "unsupported-encoding")
        assert edge.engine.events == []

    serve(scenario)


@pytest.mark.parametrize("path", ["/nothing", "/webhook/more", "/", ""])
def test_unknown_paths_under_the_prefix(serve, path):
    async def scenario(edge):
        reply = await edge.request("POST", path, data=b"{}")
        assert (reply.status, reply.json["error"]) == (404, "unknown-path")
        assert edge.signals.refused == [("", 404, "unknown-path")]

    serve(scenario)


@pytest.mark.parametrize("path", ["/", "/webhook", "/integrations/webhook", "/integrationwebhook", "/docs"])
def test_unknown_paths_elsewhere(serve, path):
    async def scenario(edge):
        assert (await edge.get(path)).status == 404

    serve(scenario)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "PROPFIND"])
def test_other_methods(serve, method):
    async def scenario(edge):
        reply = await edge.request(method, "/webhook", data=b"{}" if method != "GET" else None)
        assert (reply.status, reply.json["error"]) == (405, "method-not-allowed")
        assert reply.headers["allow"] == "POST, HEAD, OPTIONS"

    serve(scenario)


def test_head_and_options_let_senders_probe_an_endpoint(serve):
    async def scenario(edge):
        head = await edge.request("HEAD", "/webhook")
        assert (head.status, head.body) == (200, b"")
        options = await edge.request("OPTIONS", "/webhook")
        assert (options.status, options.headers["allow"]) == (200, "POST, HEAD, OPTIONS")
        assert (await edge.request("HEAD", "/nothing")).status == 404

    serve(scenario)


def test_declared_length_over_the_limit_is_refused_before_the_body_is_read(serve):
    async def scenario(edge):
        wire = await edge.wire()
        await wire.send(b"POST /integration/webhook HTTP/1.1\r\nHost: h\r\nContent-Length: 26214401\r\n\r\n")
        reply = await wire.reply()
        assert (reply.status, reply.json["error"]) == (413, "too-large")
        assert reply.headers["connection"] == "close"
        await wire.close()
        assert edge.engine.events == []

    serve(scenario)


def test_streamed_body_is_counted(serve):
    async def chunks():
        for _ in range(200):
            yield b" " * 1_000

    async def scenario(edge):
        reply = await edge.post(chunks())
        assert (reply.status, reply.json["error"]) == (413, "too-large")
        assert edge.engine.events == []

    serve(scenario, limits=IngressLimits(max_body_bytes=100_000))


def test_body_of_exactly_the_limit_is_accepted(serve):
    body = b'{"a": "' + b"x" * 991 + b'"}'

    async def scenario(edge):
        assert (await edge.post(body)).status == 202
        assert (await edge.post(body + b" ")).status == 413

    serve(scenario, limits=IngressLimits(max_body_bytes=len(body)))


def test_a_path_can_have_a_limit_of_its_own(serve):
    policies = (PathPolicy("/webhook"), PathPolicy("/small", max_body_bytes=10))

    async def scenario(edge):
        assert (await edge.post(b'{"a": "0123456789"}', "/small")).status == 413
        assert (await edge.post(b'{"a": "0123456789"}')).status == 202

    serve(scenario, policies=policies)


def test_json_with_too_many_values_is_refused_without_building_it(serve):
    async def scenario(edge):
        reply = await edge.post(b'{"a": [' + b"1," * 5_000 + b"1]}")
        assert (reply.status, reply.json["error"]) == (413, "too-large")
        assert "1000 values" in reply.json["detail"]

    serve(scenario, limits=IngressLimits(max_json_values=1_000))


def test_wide_json_is_not_deep(serve):
    wide = json.dumps({"items": [{"id": n, "labels": [n]} for n in range(2_000)]}).encode()

    async def scenario(edge):
        assert (await edge.post(wide)).status == 202

    serve(scenario)


def test_depth_at_the_limit_is_accepted(serve):
    async def scenario(edge):
        for depth, status in ((10, 202), (11, 400)):
            body = b'{"a": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b', "wide": [[],[],[],[],[],[],[]]}'
            assert (await edge.post(body)).status == status

    serve(scenario, limits=IngressLimits(max_json_depth=10))


def test_full_backlog_asks_to_come_again(serve, store):
    async def scenario(edge):
        assert (await edge.post()).status == 202
        reply = await edge.post()
        assert (reply.status, reply.json["error"]) == (503, "backlog-full")
        assert reply.headers["retry-after"] == "5"
        assert edge.signals.refused == [("/webhook", 503, "backlog-full")]

    serve(scenario, engine=store(backlog_limit=1))


def test_engine_that_cannot_commit(serve, store, unavailable):
    async def scenario(edge):
        reply = await edge.post()
        assert (reply.status, reply.json["error"]) == (503, "engine-unavailable")
        assert reply.headers["retry-after"] == "7"
        assert b"secret" not in reply.body
        edge.engine.error = None
        assert (await edge.post()).status == 202

    serve(scenario, engine=store(error=unavailable))


def test_a_fault_of_our_own_is_a_500_that_tells_nothing(serve, store, caplog):
    async def scenario(edge):
        reply = await edge.post()
        assert (reply.status, reply.json["error"]) == (500, "internal")
        assert b"hunter2" not in reply.body
        assert edge.signals.refused == [("/webhook", 500, "internal")]
        edge.engine.error = None
        assert (await edge.post()).status == 202

    serve(scenario, engine=store(error=RuntimeError("password=hunter2")))
    assert "a webhook could not be taken in" in caplog.text


def test_large_bodies_share_a_bounded_memory_and_small_ones_go_on(serve, store):
    large = b'{"a": "' + b"x" * 300_000 + b'"}'

    async def scenario(edge):
        edge.engine.gate = asyncio.Event()
        first = asyncio.create_task(edge.post(large))
        await edge.engine.asked.wait()
        second = await edge.post(large)
        assert (second.status, second.json["error"]) == (503, "overloaded")
        assert "retry-after" in second.headers
        small = asyncio.create_task(edge.post())
        edge.engine.gate.set()
        assert (await first).status == 202
        assert (await small).status == 202
        assert (await edge.post(large)).status == 202

    serve(scenario, limits=IngressLimits(max_buffered_bytes=300_000))


def test_health_is_answered_always(serve):
    reasons: list[str] = []

    async def scenario(edge):
        health, ready = await edge.get("/healthz"), await edge.get("/readyz")
        assert (health.status, health.json) == (200, {"status": "ok"})
        assert (ready.status, ready.json) == (200, {"status": "ready", "reasons": []})
        reasons.append("engine: unavailable")
        ready = await edge.get("/readyz")
        assert (ready.status, ready.json) == (
            503,
            {"status": "not ready", "reasons": ["engine: unavailable"]},
        )
        assert (await edge.get("/healthz")).status == 200
        async with edge.client.post(f"http://{edge.address}/healthz") as wrong:
            assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD")
        async with edge.client.head(f"http://{edge.address}/readyz") as head:
            assert head.status == 503

    serve(scenario, reasons=lambda: reasons)


def test_an_early_refusal_leaves_the_connection_usable(serve):
    async def scenario(edge):
        wire = await edge.wire()
        for _ in range(3):
            body = gzip.compress(b"{}")
            await wire.send(
                b"POST /integration/nothing HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body)
                + body
            )
            assert (await wire.reply()).status == 404
        await wire.send(b"POST /integration/webhook HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")
        assert (await wire.reply()).status == 202
        await wire.close()

    serve(scenario)
