"""Where the outgoing client goes and what it takes along: URLs from payloads, credentials, names that change their mind."""

import asyncio
import gzip
import socket
import traceback
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, ip_address
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tidegate.fetch import (
    FetchClient,
    FetchFailedError,
    FetchLimits,
    FetchPolicy,
    FetchRefusedError,
    FetchStatusError,
    HostBreakers,
    Origin,
)
from tidegate.fetch.origins import Place, origins_in
from tidegate.fetch.policy import is_public
from tidegate.telemetry import Fanout
from tidegate.testing.clock import FakeClock

SECRET = {"Authorization": "Bearer t0ps3cret"}
QUERY_SECRET = "t0ps3cret"


class Server:
    """A server on loopback that keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        if request.path == "/away":
            return web.Response(status=302, headers={"Location": "http://localhost:9/steal"})
        if request.path == "/bomb":
            body = gzip.compress(bytes(8 * 1024 * 1024))
            return web.Response(body=body, headers={"Content-Encoding": "gzip"})
        return web.json_response(
            {"path": request.path, "authorization": request.headers.get("Authorization")}
        )


@asynccontextmanager
async def running_server() -> Any:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    try:
        yield server
    finally:
        await runner.cleanup()


def with_client(
    use: Callable[[FetchClient, Server], Awaitable[None]],
    *,
    configured: bool = False,
    allow_private: bool = False,
    limits: FetchLimits | None = None,
) -> None:
    async def main() -> None:
        clock = FakeClock()
        async with running_server() as server:
            config = {"api_url": server.url} if configured else {}
            policy = FetchPolicy.of(config, allow_private=allow_private)
            async with FetchClient(HostBreakers(clock, Fanout()), clock, limits, policy) as client:
                await use(client, server)

    asyncio.run(main())


def test_a_url_from_a_payload_cannot_lead_into_our_networks() -> None:
    async def use(client: FetchClient, server: Server) -> None:
        port = Origin.of(server.url).port
        for host in (
            "127.0.0.1",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "127.1",
            "2130706433",
        ):
            with pytest.raises(FetchRefusedError, match=r"no public address|no URL that"):
                await client.get_json(f"http://{host}:{port}/latest/meta-data")
        assert server.asked == []

    with_client(use)


def test_a_configured_url_may_be_private_and_development_may_go_anywhere() -> None:
    async def use(client: FetchClient, server: Server) -> None:
        assert (await client.get_json(f"{server.url}/a"))["path"] == "/a"

    with_client(use, configured=True)
    with_client(use, allow_private=True)


def test_a_name_is_judged_by_the_address_that_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads to us only when it is asked again (DNS rebinding) is asked once, right before."""
    answers: list[str] = []
    real = socket.getaddrinfo

    def rebound(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "rebound.example":
            return real(host, port, *args, **kwargs)
        answers.append("192.0.2.1" if len(answers) % 2 else "127.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers[-1], port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebound)

    async def use(client: FetchClient, server: Server) -> None:
        port = Origin.of(server.url).port
        for _ in range(4):
            with pytest.raises(FetchRefusedError, match="leads to 1"):
                await client.get_json(f"http://rebound.example:{port}/")
        assert server.asked == []
        assert answers

    with_client(use)


def test_a_pooled_connection_of_a_trusted_call_serves_no_other() -> None:
    async def use(client: FetchClient, server: Server) -> None:
        assert (await client.api(server.url).get_json("a"))["path"] == "/a"
        with pytest.raises(FetchRefusedError, match="no public address"):
            await client.get_json(f"{server.url}/a")
        assert len(server.asked) == 1

    with_client(use)


@pytest.mark.parametrize(
    "more",
    [
        {"headers": SECRET},
        {"headers": {"PRIVATE-TOKEN": "x"}},
        {"headers": {"Cookie": "x"}},
        {"params": {"access_token": "x"}},
    ],
)
def test_credentials_go_to_configured_hosts_only(more: Any) -> None:
    async def use(client: FetchClient, server: Server) -> None:
        with pytest.raises(FetchRefusedError, match="which is not configured") as caught:
            await client.get_json(f"http://localhost:{Origin.of(server.url).port}/", **more)
        assert "t0ps3cret" not in str(caught.value)
        assert server.asked == []
        await client.get_json(server.url, **more)

    with_client(use, configured=True, allow_private=True)


def test_the_headers_of_an_api_go_home_and_nowhere_else() -> None:
    async def use(client: FetchClient, server: Server) -> None:
        api = client.api(f"{server.url}/v2/", headers=SECRET)
        for path in ("tickets/7", "/tickets/7", f"{server.url}/v2/tickets/7"):
            assert await api.get_json(path) == {"path": "/v2/tickets/7", "authorization": "Bearer t0ps3cret"}
        assert (await api.get_json("//evil.example/x"))["path"] == "/v2/evil.example/x"
        port = Origin.of(server.url).port
        for path in (f"http://localhost:{port}/v2", f"https://127.0.0.1:{port}/", "http://evil.example/"):
            with pytest.raises(FetchRefusedError, match="stay at home"):
                await api.get_json(path)
        with pytest.raises(FetchRefusedError, match="another host, http://localhost:9/steal"):
            await client.api(server.url, headers=SECRET).get_json("away")
        assert "t0ps3cret" not in repr(api)

    with_client(use)


def test_a_url_that_two_parsers_read_differently_is_refused() -> None:
    """To some a backslash is a slash: the host of this one would be 127.0.0.1 here and evil.example there."""

    async def use(client: FetchClient, server: Server) -> None:
        url = server.url.replace("http://", "http://evil.example\\@")
        for call in (client.get_json(url, headers=SECRET), client.api(url, headers=SECRET).get_json("x")):
            with pytest.raises(FetchRefusedError, match="no URL that can be asked"):
                await call

    with_client(use, configured=True)


def test_an_answer_is_bounded_by_what_it_unfolds_to() -> None:
    async def use(client: FetchClient, server: Server) -> None:
        with pytest.raises(FetchRefusedError, match="more than 1048576 bytes"):
            await client.get_json(f"{server.url}/bomb")
        with pytest.raises(FetchStatusError):
            await client.request("POST", f"{server.url}/away")

    with_client(use, configured=True, limits=FetchLimits(max_response_bytes=1024 * 1024))


def test_what_is_no_http_is_told_without_the_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp quotes the whole URL of an answer that it cannot read."""
    monkeypatch.setattr("tidegate.fetch.guarded.public_socket", lambda found: socket.socket(*found[:3]))

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"nonsense\r\n\r\n")
        await writer.drain()
        writer.close()

    async def use(client: FetchClient, _: Server) -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(FetchFailedError, match=f"GET http://127.0.0.1:{port}/x failed") as failure:
                await client.get_json(f"http://127.0.0.1:{port}/x?token={QUERY_SECRET}")
            assert QUERY_SECRET not in "".join(traceback.format_exception(failure.value))

    with_client(use)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gopher://h/", "http:///x", "http://[", "//h/x", "http://h:x/", ""]
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    async def use(client: FetchClient, _: Server) -> None:
        with pytest.raises(FetchRefusedError):
            await client.get_json(url)

    with_client(use, allow_private=True)


INSIDE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2001:0:7f00:1:0:0:80ff:fffe",
    "::7f00:1",
    "localhost",
    "127.1",
]
OUTSIDE = [
    "8.8.8.8",
    "1.1.1.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "172.32.0.1",
    "11.0.0.1",
]


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_addresses_that_are(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_wrapping(address: IPv4Address) -> None:
    packed = address.packed
    wrapped = [
        bytes(10) + b"\xff\xff" + packed,
        b"\x00\x64\xff\x9b" + bytes(8) + packed,
        b"\x20\x02" + packed + bytes(10),
    ]
    for form in wrapped:
        assert is_public(str(ip_address(form))) == is_public(str(address))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://h/a", "https://h:443/b?c", True),
        ("https://h", "https://H./", True),
        ("https://u:p@h", "https://h", True),
        ("https://h", "http://h", False),
        ("https://h", "https://h:444", False),
        ("https://h", "https://h.evil", False),
        ("https://h", "https://evil@h", True),
        ("https://h", "https://h@evil", False),
        ("https://h", "https://evil#@h", False),
    ],
)
def test_origins(one: str, other: str, same: bool) -> None:
    assert (Origin.of(one) == Origin.of(other)) is same


def test_the_urls_among_the_integrations_values_are_found() -> None:
    config = {"a": "https://h/x", "b": {"c": ["http://i:1", 7, None]}, "d": "i.example", "e": "https://["}
    assert set(origins_in(config)) == {Origin("https", "h", 443), Origin("http", "i", 1)}


@given(st.text(st.sampled_from("htps:/?#@[]\\.% \t\nHa1:0é"), max_size=24).map("http{}".format) | st.text())
def test_an_origin_is_that_of_the_whole_url(url: str) -> None:
    """Only the head of a URL is read, and known again: the rest of it says nothing of where it leads."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        with pytest.raises(FetchRefusedError):
            Origin.of(url)
        return
    default = 443 if parts.scheme == "https" else 80
    assert Origin.of(url) == Origin(parts.scheme, host.rstrip("."), port or default)
    assert Place.of(url).authority == parts.netloc.rpartition("@")[2]
