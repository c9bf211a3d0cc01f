"""Senders that are slow, broken or hostile, byte by byte over real sockets, on both event loops."""

import asyncio
import gzip

import pytest

from tidegate.ingress import HttpServer, IngressLimits, ListenerLimits, asgi

HEAD = b"POST /integration/webhook HTTP/1.1\r\nHost: h\r\n"
WHOLE = HEAD + b"Content-Length: 2\r\n\r\n{}"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
QUICK = ListenerLimits(header_timeout_seconds=0.15, keep_alive_seconds=0.15, linger_seconds=0.15)


async def drip(wire, piece):
    """Send a piece whenever the server has been silent for a moment; answers what it says until it closes."""
    said = b""
    while True:
        try:
            more = await asyncio.wait_for(wire.reader.read(65_536), 0.02)
        except TimeoutError:
            try:
                await wire.send(piece)
            except ConnectionError:
                return said
            continue
        except ConnectionError:
            return said
        if not more:
            return said
        said += more


# --- Slow ---------------------------------------------------------------------------------------------


def test_headers_that_never_end(serve_on_each_loop):
    async def scenario(edge):
        wire = await edge.wire()
        await wire.send(HEAD)
        reply = await wire.reply()
        assert (reply.status, reply.json["error"]) == (408, "slow-headers")
        assert await wire.rest() == b""
        assert edge.signals.refused == [("", 408, "slow-headers")]

    serve_on_each_loop(scenario, listener=QUICK)


@pytest.mark.parametrize("piece", [b"X", b"\r\n", b"X-A: b\r\n"], ids=["name", "empty lines", "lines"])
def test_headers_that_drip_do_not_buy_time(serve_on_each_loop, piece):
    async def scenario(edge):
        wire = await edge.wire()
        if piece != b"\r\n":
            await wire.send(HEAD)
        await drip(wire, piece)
        assert edge.engine.events == []
        assert (await edge.post()).status == 202

    serve_on_each_loop(scenario, listener=QUICK)


def test_silent_connection_is_closed_without_a_word(serve_on_each_loop):
    async def scenario(edge):
        wire = await edge.wire()
        assert await wire.rest() == b""
        assert edge.signals.cut == ["no-request"]
        assert edge.signals.refused == []

    serve_on_each_loop(scenario, listener=QUICK)


def test_idle_keep_alive_ends_and_one_byte_does_not_prolong_it_for_ever(serve_on_each_loop):
    async def scenario(edge):
        idle, nagging = await edge.wire(), await edge.wire()
        for wire in (idle, nagging):
            await wire.send(WHOLE)
            assert (await wire.reply()).status == 202
        await nagging.send(b"P")
        assert await idle.rest() == b""
        assert b"slow-headers" in await nagging.rest()

    serve_on_each_loop(scenario, listener=QUICK)


def test_body_that_stops(serve_on_each_loop):
    async def scenario(edge):
        wire = await edge.wire()
        await wire.send(HEAD + b"Content-Length: 100\r\n\r\n{")
        reply = await wire.reply()
        assert (reply.status, reply.json["error"]) == (408, "slow-body")
        assert reply.headers["connection"] == "close"
        assert await wire.rest() == b""
        assert edge.engine.events == []
        assert edge.signals.refused == [("/webhook", 408, "slow-body")]

    serve_on_each_loop(scenario, limits=IngressLimits(body_grace_seconds=0.1), listener=QUICK)


@pytest.mark.parametrize(
    "limits",
    [
        IngressLimits(body_grace_seconds=0.1, min_body_bytes_per_second=100_000),
        IngressLimits(body_grace_seconds=0.1, min_body_bytes_per_second=0.001, body_timeout_seconds=0.2),
    ],
    ids=["below the least rate", "over the whole time"],
)
def test_body_that_drips(serve_on_each_loop, limits):
    async def scenario(edge):
        wire = await edge.wire()
        await wire.send(HEAD + b"Content-Length: 100000\r\n\r\n")
        assert b"slow-body" in await drip(wire, b" ")
        assert edge.engine.events == []

    serve_on_each_loop(scenario, limits=limits, listener=QUICK)


def test_reader_that_never_reads_is_cut_off(serve_on_each_loop):
    """The internet-facing answers are small; the admin listener's need not be."""

    async def scenario(edge):
        ended = asyncio.Event()

        async def large(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(1_000):
                await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
            ended.set()
            await send({"type": "http.response.body", "body": b""})

        limits = ListenerLimits(write_timeout_seconds=0.1)
        server = HttpServer(asgi(large), "127.0.0.1", 0, limits=limits, telemetry=edge.signals)
        await server.start()
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await ended.wait()
        assert await server.stop(1)
        writer.close()
        assert edge.signals.cut == ["answer-unread"]

    serve_on_each_loop(scenario)


# --- Large --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_head", "status", "reason"),
    [
        (HEAD + b"X: " + b"x" * 40_000 + b"\r\n\r\n", 431, "headers-too-large"),
        (HEAD + b"".join(b"X-%d: 1\r\n" % n for n in range(200)) + b"\r\n", 431, "headers-too-large"),
        (b"POST /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414, "url-too-long"),
        (b"POST /?" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414, "url-too-long"),
    ],
    ids=["one large header", "many headers", "long path", "long query"],
)
def test_heads_over_the_limits(serve_on_each_loop, request_head, status, reason):
    async def scenario(edge):
        wire = await edge.wire()
        await wire.send(request_head)
        reply = await wire.reply()
        assert (reply.status, reply.json["error"]) == (status, reason)
        assert await wire.rest() == b""
        assert edge.signals.refused == [("", status, reason)]

    serve_on_each_loop(scenario, listener=QUICK)


@pytest.mark.parametrize(
    "start",
    [
        HEAD + b"X: ",
        HEAD + b"X",
        b"\r\n",
        CHUNKED + b"2\r\n{}\r\n0\r\nX: ",
        CHUNKED + b"2;ext=",
        CHUNKED + b"0000000000000000",
    ],
    ids=["header value", "header name", "empty lines", "trailer", "chunk extension", "chunk size"],
)
def test_endless_bytes_without_meaning_are_cut_off(serve_on_each_loop, start):
    """httptools would keep a header's or trailer's value whole, however large it grows."""
    filler = b"\r\n" * 5_000 if start == b"\r\n" else b"0" * 10_000

    async def scenario(edge):
        wire = await edge.wire()
        await wire.send(start)
        try:
            while not wire.reader.at_eof():
                await wire.send(filler)
                await asyncio.sleep(0)  # let the server have its turn
        except ConnectionError:
            pass
        await wire.rest()
        assert edge.engine.events == []
        assert edge.signals.refused

    serve_on_each_loop(scenario, listener=QUICK)


def test_answer_to_a_body_that_is_too_large_reaches_a_sender_that_writes_before_it_reads(serve_on_each_loop):
    async def scenario(edge):
        wire = await edge.wire()
        wire.writer.transport.pause_reading()
        await wire.send(HEAD + b"Content-Length: 4000000\r\n\r\n")
        for _ in range(40):
            await wire.send(b"x" * 100_000)
        wire.writer.transport.resume_reading()
        reply = await wire.reply()
        assert (reply.status, reply.json["error"]) == (413, "too-large")

    serve_on_each_loop(scenario, limits=IngressLimits(max_body_bytes=1_000))


def test_answer_before_the_body_waits_for_the_rest_only_so_long(serve_on_each_loop):
    async def scenario(edge):
        wire = await edge.wire()
        await wire.send(b"POST /integration/nothing HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nx")
        assert (await wire.reply()).status == 404
        await drip(wire, b"x")  # never a million bytes before it is closed

    serve_on_each_loop(scenario, listener=QUICK)


def test_answer_before_the_body_and_then_the_next_request(serve_on_each_loop):
    async def scenario(edge):
        wire = await edge.wire()
        await wire.send(b"POST /integration/nothing HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n")
        assert (await wire.reply()).status == 404
        await wire.send(b"x" * 100)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wire.reader.read(1), 0.3)
        await wire.send(WHOLE)
        assert (await wire.reply()).status == 202

    serve_on_each_loop(scenario, listener=ListenerLimits(linger_seconds=0.15))


# --- Malformed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"hello\r\n\r\n",
        b"BREW /integration/webhook HTTP/1.1\r\nHost: h\r\n\r\n",
        b"post /integration/webhook HTTP/1.1\r\nHost: h\r\n\r\n",
        b"POST /integration/webhook HTTP/2.0\r\nHost: h\r\n\r\n",
        b"POST /integration/webhook HTTP/0.9\r\nHost: h\r\n\r\n",
        b"POST /integration/webhook HTTP/1.1\nHost: h\n\n",
        b"POST /integration/w\xffbhook HTTP/1.1\r\nHost: h\r\n\r\n",
        b"POST http://h:99999/integration/webhook HTTP/1.1\r\nHost: h\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: h\r\n\r\n",
        HEAD + b"X: \x00\r\n\r\n",
        HEAD + b"X: a\r\n folded\r\n\r\n",
        HEAD + b"X : a\r\n\r\n",
        HEAD + b"No colon\r\n\r\n",
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"Content-Length: 2, 2\r\n\r\n{}",
        HEAD + b"Content-Length: +2\r\n\r\n{}",
        HEAD + b"Content-Length: -2\r\n\r\n{}",
        HEAD + b"Content-Length: 0x2\r\n\r\n{}",
        HEAD + b"Content-Length: 99999999999999999999\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n{}",
        CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"1\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"fffffffffffffffff\r\n{}",
        CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_nothing_stored(serve_on_each_loop, sent):
    async def scenario(edge):
        wire = await edge.wire()
        await wire.send(sent)
        reply = await wire.reply()
        assert (reply.status, reply.json["error"]) == (400, "bad-request")
        assert reply.headers["connection"] == "close"
        assert await wire.rest() == b""
        assert edge.engine.events == []
        assert ("", 400, "bad-request") in edge.signals.refused

    serve_on_each_loop(scenario, listener=QUICK)


def test_transfer_coding_other_than_chunked(serve_on_each_loop):
    body = gzip.compress(b"{}")

    async def scenario(edge):
        reply = await edge.exchange(
            HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        )
        assert (reply.status, reply.json["error"]) == (415, "unsupported-encoding")

    serve_on_each_loop(scenario)


@pytest.mark.parametrize(
    "target",
    [b"http://h/integration/webhook", b"/integration/webhook?token=1", b"/integration/%77ebhook"],
)
def test_other_ways_to_write_the_target(serve_on_each_loop, target):
    async def scenario(edge):
        reply = await edge.exchange(
            b"POST " + target + b" HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"
        )
        assert reply.status == 202
        assert edge.engine.events[0].path == "/webhook"

    serve_on_each_loop(scenario)


@pytest.mark.parametrize("target", [b"*", b"/integration/%00", b"/integration/..%2fwebhook", b"//webhook"])
def test_odd_targets_lead_nowhere(serve_on_each_loop, target):
    async def scenario(edge):
        assert (await edge.exchange(b"OPTIONS " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n")).status == 404

    serve_on_each_loop(scenario)


# --- Framing ------------------------------------------------------------------------------------------


def test_chunked_body_in_small_pieces(serve_on_each_loop):
    async def scenario(edge):
        wire = await edge.wire()
        await wire.send(CHUNKED)
        for byte in b'{"a": 1}':
            await wire.send(b"1;x=y\r\n%c\r\n" % byte)
        await wire.send(b"0\r\n\r\n")
        assert (await wire.reply()).status == 202
        assert edge.engine.events[0].body == b'{"a": 1}'

    serve_on_each_loop(scenario)


def test_trailers_do_not_become_headers(serve_on_each_loop):
    async def scenario(edge):
        sent = CHUNKED + b"2\r\n{}\r\n0\r\nX-GitHub-Delivery: forged\r\nX-Signature: forged\r\n\r\n"
        assert (await edge.exchange(sent)).status == 202
        [event] = edge.engine.events
        assert event.delivery_id is None
        assert "x-signature" not in event.headers

    serve_on_each_loop(scenario)


def test_length_longer_than_the_body_stores_nothing(serve_on_each_loop):
    async def scenario(edge):
        wire = await edge.wire()
        await wire.send(HEAD + b"Content-Length: 10\r\n\r\n{}")
        wire.finish_sending()
        assert await wire.rest() == b""
        assert edge.engine.events == []

    serve_on_each_loop(scenario)


def test_length_shorter_than_the_body_leaves_the_rest_to_be_refused(serve_on_each_loop):
    async def scenario(edge):
        wire = await edge.wire()
        await wire.send(HEAD + b'Content-Length: 2\r\n\r\n{}"more": 1}')
        assert (await wire.reply()).status == 202
        await wire.rest()
        assert [event.body for event in edge.engine.events] == [b"{}"]
        assert ("", 400, "bad-request") in edge.signals.refused

    serve_on_each_loop(scenario, listener=QUICK)


def test_sender_that_goes_away_mid_body_stores_nothing(serve_on_each_loop):
    async def scenario(edge):
        wire = await edge.wire()
        await wire.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await wire.reply()).status == 200
        assert edge.server.open_connections == 1
        await wire.send(HEAD + b"Content-Length: 100\r\n\r\n{}")
        wire.writer.transport.abort()
        while edge.server.open_connections:
            await asyncio.sleep(0)
        assert edge.engine.events == []
        assert edge.signals.refused == []
        assert edge.signals.cut == []

    serve_on_each_loop(scenario)


def test_half_closed_sender_gets_its_answer(serve_on_each_loop):
    async def scenario(edge):
        edge.engine.gate = asyncio.Event()
        wire = await edge.wire()
        await wire.send(WHOLE)
        wire.finish_sending()
        await edge.engine.asked.wait()
        edge.engine.gate.set()
        assert (await wire.reply()).status == 202
        assert await wire.rest() == b""
        assert len(edge.engine.events) == 1

    serve_on_each_loop(scenario)


def test_continue_is_said_only_to_bodies_that_will_be_read(serve_on_each_loop):
    async def scenario(edge):
        wire = await edge.wire()
        await wire.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert (await wire.reply()).status == 100
        await wire.send(b"{}")
        assert (await wire.reply()).status == 202
        await wire.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 2000\r\n\r\n")
        assert (await wire.reply()).status == 413
        assert await wire.rest() == b""

    serve_on_each_loop(scenario, limits=IngressLimits(max_body_bytes=1_000), listener=QUICK)


def test_http_1_0_is_answered_and_closed(serve_on_each_loop):
    async def scenario(edge):
        wire = await edge.wire()
        await wire.send(b"POST /integration/webhook HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")
        assert (await wire.reply()).status == 202
        assert await wire.rest() == b""

    serve_on_each_loop(scenario)


@pytest.mark.parametrize("split", [True, False])
def test_wish_for_an_upgrade_is_ignored_and_the_body_kept(serve_on_each_loop, split):
    """Java's HTTP client asks for h2c with its first POST; httptools alone would drop the body."""
    head = HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEA\r\n"

    async def scenario(edge):
        wire = await edge.wire()
        for framed in (
            b"Content-Length: 8\r\n\r\n" + b'{"a": 1}',
            b"Content-Length: 8\r\n\r\n" + b'{"a": 2}',
        ):
            sent = head + framed
            if split:
                for start in range(0, len(sent), 40):
                    await wire.send(sent[start : start + 40])
            else:
                await wire.send(sent)
            assert (await wire.reply()).status == 202
        await wire.send(
            b"GET /integration/webhook HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        assert (await wire.reply()).status == 405
        assert [event.body for event in edge.engine.events] == [b'{"a": 1}', b'{"a": 2}']
        await wire.send(WHOLE)
        assert (await wire.reply()).status == 202

    serve_on_each_loop(scenario)


# --- Pipelining ---------------------------------------------------------------------------------------


def test_an_answer_comes_in_one_piece(serve_on_each_loop):
    async def scenario(edge):
        wire = await edge.wire()
        for _ in range(10):
            await wire.send(WHOLE)
            head, _, body = (await wire.reader.read(65_536)).partition(b"\r\n\r\n")
            assert b"content-length: %d" % len(body) in head
            assert body.endswith(b"}")

    serve_on_each_loop(scenario)


def test_pipelined_requests_are_answered_in_order(serve_on_each_loop):
    async def scenario(edge):
        wire = await edge.wire()
        bodies = [b'{"n": %d}' % n for n in range(8)]
        await wire.send(
            b"".join(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies)
        )
        answered = [(await wire.reply()).json["id"] for _ in bodies]
        assert [event.id for event in edge.engine.events] == answered
        assert [event.body for event in edge.engine.events] == bodies

    serve_on_each_loop(scenario)


def test_too_many_pipelined_requests_end_the_connection_after_the_answers(serve_on_each_loop):
    async def scenario(edge):
        edge.engine.gate = asyncio.Event()
        wire = await edge.wire()
        await wire.send(WHOLE * 50)
        await edge.engine.asked.wait()
        edge.engine.gate.set()
        said = await wire.rest()
        assert said.count(b"HTTP/1.1 202") == len(edge.engine.events)
        assert 4 <= len(edge.engine.events) < 50

    serve_on_each_loop(
        scenario, listener=ListenerLimits(max_pipelined=4, header_timeout_seconds=0.15, linger_seconds=0.15)
    )


@pytest.mark.parametrize("broken", [b"garbage\r\n\r\n", CHUNKED + b"2\r\n{}\r\nzz\r\n"])
def test_broken_request_behind_a_good_one_does_not_cost_it_its_answer(serve_on_each_loop, broken):
    async def scenario(edge):
        edge.engine.gate = asyncio.Event()
        wire = await edge.wire()
        await wire.send(WHOLE + broken)
        await edge.engine.asked.wait()
        edge.engine.gate.set()
        assert (await wire.reply()).status == 202
        await wire.rest()
        assert [event.body for event in edge.engine.events] == [b"{}"]

    serve_on_each_loop(scenario, listener=QUICK)
