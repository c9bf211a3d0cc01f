"""Floods of connections and requests, while a legitimate sender goes on."""

import asyncio

import pytest

from tidegate.core.networks import parse_networks
from tidegate.ingress import IngressLimits, ListenerLimits, PathPolicy, RateLimit
from tidegate.ingress.limits import ProxyTrust
from tidegate.ingress.rates import TokenBuckets

HEAD = b"POST /integration/webhook HTTP/1.1\r\nHost: h\r\n"
WHOLE = HEAD + b"Content-Length: 2\r\n\r\n{}"


def test_one_address_cannot_take_all_connections(serve_on_each_loop):
    async def scenario(edge):
        hoard = [await edge.wire("127.0.0.2") for _ in range(10)]
        for wire in hoard[:4]:
            await wire.send(HEAD)
        said = [await wire.reply() for wire in hoard[4:]]
        assert {(reply.status, reply.json["error"]) for reply in said} == {(503, "too-many-connections")}
        assert all("retry-after" in reply.headers for reply in said)
        legitimate = await edge.wire("127.0.0.3")
        for _ in range(20):
            await legitimate.send(WHOLE)
            assert (await legitimate.reply()).status == 202
        assert edge.signals.refused == [("", 503, "too-many-connections")] * 6
        await hoard[0].close()
        await hoard[1].send(b"Content-Length: 2\r\n\r\n{}")
        assert (await hoard[1].reply()).status == 202

    serve_on_each_loop(scenario, listener=ListenerLimits(max_connections_per_address=4))


def test_a_place_is_free_again_once_a_connection_ends(serve_on_each_loop):
    async def scenario(edge):
        for _ in range(5):
            wire = await edge.wire()
            await wire.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            assert (await wire.reply()).status == 200
            assert await wire.rest() == b""
            await wire.close()

    serve_on_each_loop(scenario, listener=ListenerLimits(max_connections_per_address=1))


def test_idle_connections_make_room_for_those_that_work(serve_on_each_loop):
    """A flood from many addresses that only connects, or connects and goes idle, shuts nobody out."""

    async def scenario(edge):
        used = await edge.wire("127.0.1.1")
        await used.send(WHOLE)
        assert (await used.reply()).status == 202
        for number in range(2, 30):
            await edge.wire(f"127.0.1.{number}")
        newcomer = await edge.wire("127.0.0.9")
        await newcomer.send(WHOLE)
        assert (await newcomer.reply()).status == 202
        assert await used.rest() == b""
        assert edge.server.open_connections <= 8
        assert set(edge.signals.cut) == {"made-room"}

    serve_on_each_loop(scenario, listener=ListenerLimits(max_connections=8))


def test_a_flood_from_few_addresses_makes_room_from_its_own_connections(serve_on_each_loop):
    """A sender that has connected, but not yet sent a byte, keeps its place."""

    async def scenario(edge):
        fresh = await edge.wire("127.0.0.9")
        for number in range(40):
            await edge.wire(f"127.0.1.{number % 2 + 1}")
        await fresh.send(WHOLE)
        assert (await fresh.reply()).status == 202
        assert edge.signals.cut.count("made-room") >= 32

    serve_on_each_loop(scenario, listener=ListenerLimits(max_connections=8))


@pytest.mark.parametrize("begun", [HEAD, HEAD + b"Content-Length: 1000\r\n\r\n{"], ids=["heads", "bodies"])
def test_requests_that_never_end_fill_the_listener_for_nobody_else(serve_on_each_loop, begun):
    async def scenario(edge):
        for number in range(40):
            wire = await edge.wire(f"127.0.1.{number % 4 + 1}")
            await wire.send(begun)
        for _ in range(3):
            legitimate = await edge.wire("127.0.0.9")
            await legitimate.send(WHOLE)
            assert (await legitimate.reply()).status == 202
            await legitimate.close()
        assert len(edge.engine.events) == 3

    serve_on_each_loop(scenario, listener=ListenerLimits(max_connections=12, max_connections_per_address=10))


def test_a_body_on_its_way_is_not_cut_for_an_address_that_has_as_many(serve_on_each_loop):
    async def scenario(edge):
        sending = [await edge.wire(f"127.0.1.{number}") for number in (1, 2)]
        for wire in sending:
            await wire.send(HEAD + b"Content-Length: 2\r\n\r\n{")
        while edge.server.open_connections < 2:
            await asyncio.sleep(0)
        newcomer = await edge.wire("127.0.0.9")
        assert (await newcomer.reply()).status == 503
        for wire in sending:
            await wire.send(b"}")
            assert (await wire.reply()).status == 202

    serve_on_each_loop(scenario, listener=ListenerLimits(max_connections=2))


def test_connections_that_work_are_not_evicted(serve_on_each_loop):
    async def scenario(edge):
        edge.engine.gate = asyncio.Event()
        busy = [await edge.wire() for _ in range(3)]
        for wire in busy:
            await wire.send(WHOLE)
        while edge.engine.calls < len(busy):
            await asyncio.sleep(0)
        newcomer = await edge.wire()
        reply = await newcomer.reply()
        assert (reply.status, reply.json["error"]) == (503, "too-many-connections")
        edge.engine.gate.set()
        assert [(await wire.reply()).status for wire in busy] == [202, 202, 202]

    serve_on_each_loop(scenario, listener=ListenerLimits(max_connections=3))


def test_slow_connections_by_the_hundred_do_not_delay_a_legitimate_sender(serve):
    async def scenario(edge):
        slow = await asyncio.gather(*(edge.wire(f"127.0.2.{n % 200 + 1}") for n in range(300)))
        for number, wire in enumerate(slow):
            await wire.send(HEAD if number % 2 else HEAD + b"Content-Length: 1000\r\n\r\n{")
        for _ in range(100):
            assert (await edge.post()).status == 202
        assert len(edge.engine.events) == 100

    serve(scenario)


def test_trusted_proxy_may_open_many_connections(serve):
    networks = parse_networks(["127.0.0.7"], "trusted_proxies")

    async def scenario(edge):
        for _ in range(5):
            wire = await edge.wire("127.0.0.7")
            await wire.send(WHOLE)
            assert (await wire.reply()).status == 202

    serve(scenario, listener=ListenerLimits(max_connections_per_address=2, shared_networks=networks))


def test_rate_per_sender_lets_others_pass(serve):
    async def scenario(edge):
        first, second = await edge.wire("127.0.0.2"), await edge.wire("127.0.0.3")
        statuses = []
        for _ in range(5):
            await first.send(WHOLE)
            statuses.append((await first.reply()).status)
        assert statuses == [202, 202, 202, 429, 429]
        await second.send(WHOLE)
        assert (await second.reply()).status == 202
        edge.clock.seconds += 0.5
        await first.send(WHOLE)
        assert (await first.reply()).status == 202
        await first.send(WHOLE)
        reply = await first.reply()
        assert (reply.status, reply.json["error"], reply.headers["retry-after"]) == (
            429,
            "rate-limited",
            "1",
        )

    serve(scenario, limits=IngressLimits(sender_rate=RateLimit(per_second=2, burst=3)))


def test_rate_per_path(serve):
    policies = (PathPolicy("/webhook"), PathPolicy("/busy", rate=RateLimit(per_second=0.1, burst=1)))

    async def scenario(edge):
        assert (await edge.post(path="/busy")).status == 202
        reply = await edge.post(path="/busy")
        assert (reply.status, reply.headers["retry-after"]) == (429, "10")
        assert [(await edge.post()).status for _ in range(3)] == [202, 202, 429]

    limits = IngressLimits(path_rate=RateLimit(per_second=1, burst=2))
    serve(scenario, policies=policies, limits=limits)


def test_rate_counts_the_sender_behind_a_trusted_proxy(serve):
    limits = IngressLimits(
        sender_rate=RateLimit(per_second=1, burst=1),
        proxies=ProxyTrust(parse_networks(["127.0.0.1"], "trusted_proxies")),
    )

    async def scenario(edge):
        assert (await edge.post(x_forwarded_for="198.51.100.1")).status == 202
        assert (await edge.post(x_forwarded_for="198.51.100.2")).status == 202
        assert (await edge.post(x_forwarded_for="6.6.6.6, 198.51.100.2")).status == 429

    serve(scenario, limits=limits)


def test_bucket_fills_up_to_its_burst_and_forgets_the_least_recent_key():
    buckets = TokenBuckets(RateLimit(per_second=10, burst=2), most_keys=2)
    assert [buckets.take("a", 0.0) for _ in range(3)] == [0, 0, 1]
    assert [buckets.take("a", 100.0) for _ in range(3)] == [0, 0, 1]
    buckets.take("b", 100.0)
    buckets.take("c", 100.0)
    assert buckets.take("a", 100.0) == 0  # forgotten, so full again


@pytest.mark.parametrize(("per_second", "wait"), [(0.01, 100), (0.3, 4), (1, 1), (50, 1)])
def test_wait_is_told_in_whole_seconds(per_second, wait):
    buckets = TokenBuckets(RateLimit(per_second=per_second, burst=1))
    assert (buckets.take("a", 0.0), buckets.take("a", 0.0)) == (0, wait)
    assert buckets.take("a", float(wait)) == 0
