"""Listening, draining and stopping: a 202 always means stored, whenever the service goes down."""

import asyncio
import json
import resource
import signal
import socket

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tidegate.core.errors import ConfigurationError
from tidegate.ingress import HttpServer, IngressLimits, ListenerLimits, asgi
from tidegate.ingress.webhooks import WebhookExchange

HEAD = b"POST /integration/webhook HTTP/1.1\r\nHost: h\r\n"
WHOLE = HEAD + b"Content-Length: 2\r\n\r\n{}"


def test_port_in_use_says_which_and_how_to_change_it(serve):
    async def scenario(edge):
        server = HttpServer(edge.app, "127.0.0.1", edge.server.port, setting="TIDEGATE__INGRESS__PORT")
        with pytest.raises(ConfigurationError) as caught:
            await server.start()
        assert f"127.0.0.1:{edge.server.port}" in str(caught.value)
        assert "TIDEGATE__INGRESS__PORT" in str(caught.value)
        assert await server.stop()

    serve(scenario)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "203.0.113.1"])
def test_host_that_is_not_ours(host):
    async def scenario():
        with pytest.raises(ConfigurationError, match=host):
            await HttpServer(asgi(PlainTextResponse("x")), host, 0).start()

    asyncio.run(scenario())


def test_all_addresses_of_both_families(serve):
    async def scenario(edge):
        for host in ("127.0.0.1", "[::1]"):
            async with edge.client.get(f"http://{host}:{edge.server.port}/healthz") as response:
                assert response.status == 200

    serve(scenario, host="::")


def test_connections_are_limited_to_what_the_open_files_allow(caplog):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def scenario():
        server = HttpServer(
            asgi(PlainTextResponse("x")), "127.0.0.1", 0, limits=ListenerLimits(max_connections=10_000_000)
        )
        await server.start()
        await server.stop()

    if soft == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (4_096, hard))
    try:
        asyncio.run(scenario())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "ulimit -n" in caplog.text


def test_signals_stay_the_callers():
    def handlers():
        return signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    async def scenario():
        before = handlers()
        server = HttpServer(asgi(PlainTextResponse("x")), "127.0.0.1", 0)
        await server.start()
        assert handlers() == before
        await server.stop()

    asyncio.run(scenario())


def test_other_applications_run_on_the_same_server():
    async def hello(_):
        return PlainTextResponse("hello")

    async def scenario():
        server = HttpServer(asgi(Starlette(routes=[Route("/hello", hello)])), "127.0.0.1", 0)
        address = await server.start()
        async with aiohttp.ClientSession() as client, client.get(f"http://{address}/hello") as response:
            assert (response.status, await response.text()) == (200, "hello")
        assert await server.stop()

    asyncio.run(scenario())


def test_draining_refuses_deliveries_and_stays_alive(serve):
    async def scenario(edge):
        edge.app.drain()
        wire = await edge.wire()
        await wire.send(WHOLE)
        reply = await wire.reply()
        assert (reply.status, reply.json["error"]) == (503, "draining")
        assert reply.headers["connection"] == "close"
        assert int(reply.headers["retry-after"]) > 0
        assert await wire.rest() == b""
        assert edge.engine.events == []
        ready = await edge.get("/readyz")
        assert (ready.status, ready.json["reasons"]) == (503, ["draining"])
        assert (await edge.get("/healthz")).status == 200

    serve(scenario)


def test_stop_waits_for_the_commit_in_flight_and_answers_it(serve_on_each_loop):
    async def scenario(edge):
        edge.engine.gate = asyncio.Event()
        busy, idle = await edge.wire(), await edge.wire()
        await idle.send(WHOLE.replace(b"/integration/webhook", b"/healthz").replace(b"POST", b"GET"))
        assert (await idle.reply()).status == 200
        await busy.send(WHOLE)
        await edge.engine.asked.wait()
        edge.app.drain()
        stopping = asyncio.create_task(edge.server.stop(10))
        assert await idle.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await edge.wire()
        edge.engine.gate.set()
        assert (await busy.reply()).status == 202
        assert await busy.rest() == b""
        assert await stopping
        assert len(edge.engine.events) == 1

    serve_on_each_loop(scenario)


def test_body_in_flight_at_a_drain_is_finished_and_stored(serve_on_each_loop):
    async def scenario(edge):
        wire = await edge.wire()
        await wire.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 8\r\n\r\n")
        assert (await wire.reply()).status == 100
        edge.app.drain()
        stopping = asyncio.create_task(edge.server.stop(10))
        await wire.send(b'{"a": 1}')
        assert (await wire.reply()).status == 202
        assert [event.body for event in edge.engine.events] == [b'{"a": 1}']
        assert await stopping

    serve_on_each_loop(scenario)


def test_body_that_outlasts_the_grace_is_cut_and_not_stored(serve_on_each_loop):
    async def scenario(edge):
        wire = await edge.wire()
        await wire.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 8\r\n\r\n")
        assert (await wire.reply()).status == 100
        edge.app.drain()
        assert not await edge.server.stop(0.05)
        assert await wire.rest() == b""
        assert edge.engine.events == []
        assert edge.server.open_connections == 0

    serve_on_each_loop(scenario)


def test_commit_that_outlasts_the_grace_is_never_answered_with_202(serve_on_each_loop):
    async def scenario(edge):
        edge.engine.gate = asyncio.Event()
        wire = await edge.wire()
        await wire.send(WHOLE)
        await edge.engine.asked.wait()
        stopping = asyncio.create_task(edge.server.stop(0.05))
        assert b"202" not in await wire.rest()
        edge.engine.gate.set()
        assert not await stopping

    serve_on_each_loop(scenario)


def test_every_202_during_a_drain_under_load_is_stored(serve_on_each_loop):
    """Senders go on while the service drains at an arbitrary moment: what was promised is there."""

    async def sender(edge, number, promised):
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(connector=connector) as client:
            for count in range(10_000):
                body = json.dumps({"sender": number, "count": count, "pad": "x" * 20_000})
                try:
                    async with client.post(
                        edge.url(), data=body, headers={"content-type": "application/json"}
                    ) as response:
                        answer = await response.json()
                except (aiohttp.ClientError, OSError):
                    return
                if response.status != 202:
                    assert (response.status, answer["error"]) == (503, "draining")
                    return
                promised.append(answer["id"])

    async def scenario(edge):
        promised: list[str] = []
        senders = [asyncio.create_task(sender(edge, number, promised)) for number in range(8)]
        while len(edge.engine.events) < 50:
            await asyncio.sleep(0)
        edge.app.drain()
        assert await edge.server.stop(10)
        await asyncio.gather(*senders)
        stored = {event.id for event in edge.engine.events}
        assert len(promised) >= 50 - len(senders)
        assert set(promised) <= stored

    serve_on_each_loop(scenario)


def test_stop_is_harmless_twice_and_before_start(serve):
    async def scenario(edge):
        assert await edge.server.stop()
        assert await edge.server.stop()
        assert await HttpServer(edge.app, "127.0.0.1", 0).stop()

    serve(scenario)


def test_limits_must_be_positive():
    with pytest.raises(ConfigurationError, match=r"IngressLimits.max_body_bytes is 0"):
        IngressLimits(max_body_bytes=0)
    with pytest.raises(ConfigurationError, match=r"ListenerLimits.keep_alive_seconds is -1"):
        ListenerLimits(keep_alive_seconds=-1)


def test_bound_port_is_free_again_at_once(serve):
    async def scenario(edge):
        port = edge.server.port
        assert (await edge.post()).status == 202
        await edge.client.close()
        await edge.server.stop()
        again = HttpServer(edge.app, "127.0.0.1", port)
        assert await again.start() == f"127.0.0.1:{port}"
        await again.stop()
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0

    serve(scenario)


def test_whoever_cannot_be_answered_at_all_is_not_left_waiting(caplog):
    """A last resort: the connection ends, the sender sends again, and the log says why."""

    async def broken(head, peer, body):
        raise RuntimeError("a bug")

    async def scenario():
        server = HttpServer(lambda head, to: WebhookExchange(broken, head, to), "127.0.0.1", 0)
        await server.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(WHOLE)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()
        assert await server.stop()

    asyncio.run(scenario())
    assert [record.getMessage() for record in caplog.records] == ["a request could not be answered"]
