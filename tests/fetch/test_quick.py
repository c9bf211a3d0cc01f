"""The transport of trusted origins: what goes over the wire, and what is made of what comes back."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tidegate.fetch.calls import Call, FetchLimits, FetchResponse, NotAnsweredError
from tidegate.fetch.errors import FetchRefusedError
from tidegate.fetch.quick import QuickTransport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Use = Callable[[QuickTransport, "Server"], Awaitable[None]]


class Server:
    """Answers each request on a connection with the next of `answers`, and keeps what was asked."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.asked = asyncio.Event()
        self.gone = asyncio.Event()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                self.requests.append(head + await reader.readexactly(int(length or 0)))
                self.asked.set()
                answer = self.answers.pop(0) if self.answers else None
                if answer is None:
                    await reader.read()  # until the other side gives up
                    return
                writer.write(answer)
                if b"connection: close" in answer.lower():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.gone.set()
            writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def header(self, name: str, request: int = -1) -> str | None:
        lines = self.requests[request].partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        found = [line.partition(": ")[2] for line in lines if line.lower().startswith(f"{name}:")]
        return found[0] if found else None


@asynccontextmanager
async def listening(server: Server, tls: ssl.SSLContext | None = None):
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls) as listener:
        server.port = listener.sockets[0].getsockname()[1]
        yield


def ask(
    use: Use, *answers: bytes, limits: FetchLimits | None = None, tls: ssl.SSLContext | None = None
) -> Server:
    async def main() -> Server:
        server, transport = Server(*answers), QuickTransport(limits or FetchLimits(), "tests")
        async with listening(server, tls):
            try:
                await use(transport, server)
            finally:
                await transport.close()
        return server

    return asyncio.run(main())


def get(path: str = "/", **call: Any) -> Callable[[QuickTransport, Server], Awaitable[FetchResponse]]:
    return lambda transport, server: transport.send(Call("GET", server.url + path, **call))


def answer_to(answer: bytes) -> FetchResponse:
    answers: list[FetchResponse] = []

    async def use(transport: QuickTransport, server: Server) -> None:
        answers.append(await get()(transport, server))

    ask(use, answer)
    return answers[0]


# --- what is sent -------------------------------------------------------------------------------------


def test_a_request_says_what_the_call_says_and_not_more() -> None:
    async def use(transport: QuickTransport, server: Server) -> None:
        headers = {"X-Key": "a: b", "X-Empty": ""}
        response = await transport.send(
            Call("GET", f"{server.url}/a%2Fb?x=1#fragment", {"q": "ü &"}, headers)
        )
        assert response.url == f"{server.url}/a%2Fb?x=1&q=%C3%BC+%26"

    server = ask(use, OK)
    assert server.requests[0].startswith(b"GET /a%2Fb?x=1&q=%C3%BC+%26 HTTP/1.1\r\n")
    assert server.header("x-key") == "a: b"
    assert server.header("x-empty") == ""
    assert server.header("user-agent") == "tests"
    assert server.header("cookie") is server.header("authorization") is server.header("content-type") is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
def test_a_body_of_any_bytes_goes_with_any_method(method: str) -> None:
    body = bytes(range(256)) * 8

    async def use(transport: QuickTransport, server: Server) -> None:
        await transport.send(Call(method, server.url, None, {"Content-Type": "x/y"}, body))
        await transport.send(Call(method, server.url, None, {}, b"{}"))

    server = ask(use, OK, OK)
    first, second = server.requests
    assert first.startswith(method.encode() + b" / HTTP/1.1\r\n")
    assert first.endswith(b"\r\n\r\n" + body)
    assert server.header("content-type", 0) == "x/y"
    assert second.endswith(b"\r\n\r\n{}")
    assert server.header("content-type", 1) == "application/json"
    assert server.header("expect", 0) is None


def test_calls_of_all_shapes_take_turns_on_one_connection() -> None:
    calls = [("GET", None), ("POST", b"{}"), ("DELETE", None), ("POST", None), ("GET", None), ("HEAD", None)]

    async def use(transport: QuickTransport, server: Server) -> None:
        for method, data in calls:
            response = await transport.send(Call(method, server.url, None, {}, data))
            assert response.body == (b"" if method == "HEAD" else b"{}")

    server = ask(use, *[OK] * 5, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    assert [request.split()[0].decode() for request in server.requests] == [method for method, _ in calls]
    assert [server.header("content-length", number) for number in range(6)] == [
        None,
        "2",
        None,
        "0",
        None,
        None,
    ]
    assert server.connections == 1


def test_the_headers_of_one_call_do_not_go_with_the_next() -> None:
    async def use(transport: QuickTransport, server: Server) -> None:
        await get(headers={"Authorization": "Bearer secret"})(transport, server)
        await get()(transport, server)

    server = ask(use, OK, OK)
    assert server.header("authorization", 0) == "Bearer secret"
    assert server.header("authorization", 1) is None


@pytest.mark.parametrize(
    "headers",
    [{"X": "a\r\nInjected: 1"}, {"X\r\nInjected": "1"}, {"X": "a\0"}, {"X:Y": "1"}, {"": "1"}, {"X": "a\nb"}],
)
def test_a_header_that_would_be_another_to_the_receiver_is_refused(headers: dict[str, str]) -> None:
    async def use(transport: QuickTransport, server: Server) -> None:
        with pytest.raises(FetchRefusedError, match="a header of the request"):
            await get(headers=headers)(transport, server)

    assert not ask(use).requests


def test_what_does_not_belong_into_a_path_is_encoded() -> None:
    async def use(transport: QuickTransport, server: Server) -> None:
        await get("/a b")(transport, server)
        await get("/ü%20\n")(transport, server)

    first, second = ask(use, OK, OK).requests
    assert first.startswith(b"GET /a%20b HTTP/1.1\r\n")
    assert second.startswith(b"GET /%C3%BC%20%0A HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "url", ["http://[bad/", "http://a b/", "http://", "file:///etc/passwd", "http://a\\b/"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    async def use(transport: QuickTransport, _: Server) -> None:
        with pytest.raises(FetchRefusedError, match="is no URL that can be asked"):
            await transport.send(Call("GET", url))

    ask(use)


# --- what comes back ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, b"abc"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 200, b"abc"),
        (b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nabc", 200, b"abc"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b""),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 302, b""),
        (b"HTTP/1.1 103 Early Hints\r\nX-A: 0\r\n\r\n" + OK, 200, b"{}"),
        (b"HTTP/1.1 500 Broken: badly\r\nContent-Length: 1\r\n\r\n!", 500, b"!"),
    ],
    ids=["length", "chunks", "until-closed", "204", "304", "redirect", "early-hints", "error"],
)
def test_answers_of_all_shapes(answer: bytes, status: int, body: bytes) -> None:
    response = answer_to(answer)
    assert (response.status, response.body) == (status, body)
    assert "x-a" not in response.headers
    assert not any(name.startswith("http/") for name in response.headers)


def test_headers_have_lower_names_and_no_space_around_values() -> None:
    response = answer_to(b"HTTP/1.1 200 OK\r\nX-One:  a: \xfc \r\nContent-Length: 0\r\n\r\n")
    assert response.headers == {"x-one": "a: ü", "content-length": "0"}


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n",
    ],
    ids=["declared", "undeclared"],
)
def test_an_answer_over_the_limit_is_given_up_and_the_next_one_is_taken(answer: bytes) -> None:
    async def use(transport: QuickTransport, server: Server) -> None:
        with pytest.raises(FetchRefusedError, match="answered more than 10 bytes"):
            await get()(transport, server)
        assert (await get()(transport, server)).body == b"{}"

    ask(use, answer, OK, limits=FetchLimits(max_response_bytes=10))


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nabc",
        b"SSH-2.0-server\r\nconnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: x\r\n\r\n",
    ],
    ids=["short", "short-chunk", "no-http", "no-length"],
)
def test_a_broken_answer_is_none(answer: bytes) -> None:
    async def use(transport: QuickTransport, server: Server) -> None:
        with pytest.raises(NotAnsweredError) as failure:
            await get("/?token=t0ps3cret")(transport, server)
        assert "t0ps3cret" not in str(failure.value)

    ask(use, answer)


# --- time, connections, certificates ------------------------------------------------------------------


def test_an_answer_that_does_not_come_is_given_up_with_its_connection() -> None:
    async def use(transport: QuickTransport, server: Server) -> None:
        with pytest.raises(NotAnsweredError, match="timed out"):
            await get()(transport, server)
        await server.gone.wait()

    ask(use, limits=FetchLimits(total_seconds=0.05))


def test_a_call_that_is_cancelled_closes_its_connection_and_harms_no_other() -> None:
    async def use(transport: QuickTransport, server: Server) -> None:
        task = asyncio.create_task(transport.send(Call("GET", server.url)))
        await server.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.gone.wait()
        server.answers.append(OK)
        assert (await get()(transport, server)).body == b"{}"

    assert ask(use).connections == 2


def test_more_calls_than_connections_wait_for_each_other() -> None:
    async def use(transport: QuickTransport, server: Server) -> None:
        responses = await asyncio.gather(*(get(f"/{number}")(transport, server) for number in range(8)))
        assert [response.status for response in responses] == [200] * 8

    assert ask(use, *[OK] * 8, limits=FetchLimits(max_connections=2)).connections <= 2


def test_a_connection_that_was_closed_meanwhile_is_replaced() -> None:
    async def use(transport: QuickTransport, server: Server) -> None:
        await get()(transport, server)
        await server.gone.wait()
        assert (await get()(transport, server)).status == 200

    closing = OK.replace(b"\r\n\r\n", b"\r\nX: Connection: close\r\n\r\n")  # closes without a word of it
    assert ask(use, closing, OK).connections == 2


def test_a_transport_that_is_closed_can_be_closed_again() -> None:
    async def use(transport: QuickTransport, server: Server) -> None:
        await get()(transport, server)
        await transport.close()
        await transport.close()

    ask(use, OK)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of 127.0.0.1, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "certificate.pem"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(signed.public_bytes(pem) + secret)
    return file


@pytest.mark.parametrize(
    ("trusted", "host", "said"),
    [(True, "localhost", None), (False, "localhost", "certificate"), (True, "127.0.0.1", "127.0.0.1")],
    ids=["known", "unknown", "of-another-name"],
)
def test_a_server_has_to_prove_its_name(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool, host: str, said: str | None
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async def use(transport: QuickTransport, server: Server) -> None:
        call = Call("GET", f"https://{host}:{server.port}/")
        if said is None:
            assert (await transport.send(call)).body == b"{}"
            return
        with pytest.raises(NotAnsweredError, match=said):
            await transport.send(call)

    server = ask(use, OK, tls=tls)
    assert bool(server.requests) == (said is None)
