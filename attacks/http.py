"""Bytes on the wire against a running service: broken HTTP, smuggled requests, bombs, forged deliveries, the admin's door."""

import gzip
import random
import re
import zlib
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from attacks.tally import Tally
from attacks.target import BODY, SECRET, TOKEN, request, say, service, signed
from tests.app.service_process import Service
from tidegate.app.clock import SystemClock
from tidegate.console.login import COOKIE, Sessions

STATUS = re.compile(rb"^HTTP/1\.1 (\d{3}) ", re.MULTILINE)
MIB = 1024 * 1024


def broken_http(seed: int, scale: float) -> Tally:
    """Requests with a wrong signature, damaged at random: none may be stored."""
    tally, rng = Tally("damaged and smuggled HTTP"), random.Random(seed)
    with service() as running:
        for data in [*SMUGGLED, *(damaged(rng) for _ in range(round(1_500 * scale)))]:
            judge(tally, data, say(running, data))
        expect_only_what_is_signed(tally, running)
    return tally


def bombs(seed: int, scale: float) -> Tally:
    """Bodies that are larger, deeper or slower to read than they look, to a path that takes from anybody."""
    tally, rng = Tally("bombs: compression, depth, size"), random.Random(seed)
    with service() as running:
        for _ in range(max(1, round(scale))):
            for data in bombs_of(rng):
                judge(tally, data[:200], say(running, data, seconds=60))
        expect_only_what_is_signed(tally, running)
    return tally


def forged_deliveries(seed: int, scale: float) -> Tally:
    tally, rng = Tally("forged deliveries over the wire"), random.Random(seed)
    good = signed(BODY)
    with service() as running:
        for _ in range(round(500 * scale)):
            at = rng.randrange(good.index(b"sha256=") + 7, len(good))
            if good[at] in b"\r\n":
                continue
            bad = bytearray(good)
            bad[at] ^= 1 << rng.randrange(7)
            judge(tally, bytes(bad), say(running, bytes(bad)))
        for wrong in ("", SECRET.upper(), SECRET[:-1], "sha256"):
            judge(tally, wrong, say(running, signed(BODY, secret=wrong)))
        expect_only_what_is_signed(tally, running)
    return tally


def judge(tally: Tally, data: bytes | str, said: bytes) -> None:
    statuses = [int(status) for status in STATUS.findall(said)]
    if any(status >= 500 and status != 503 for status in statuses):
        tally.crash((data, said[:200]))
    elif 202 in statuses:
        tally.accept_wrongly(data)
    else:
        tally.refuse()


def expect_only_what_is_signed(tally: Tally, running: Service) -> None:
    """A real delivery is taken after all that, and it is the only one that is there."""
    if b"202 Accepted" not in say(running, signed(BODY)):
        tally.crash("a real delivery is refused afterwards")
    running.settle()
    found = running.get("/api/events?limit=500")["events"]
    if [event["path"] for event in found] != ["/webhook"]:
        tally.accept_wrongly(found)
    if broken := [line for line in running.log if "Traceback" in line]:
        tally.crash(broken)


def damaged(rng: random.Random) -> bytes:
    data = bytearray(signed(BODY, secret="wrong"))
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(data))
        match rng.randrange(4):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at:at] = rng.choice(
                    [b"\r\n", b"\0", b": ", b"\n", rng.randbytes(5), b"Content-Length: 5\r\n"]
                )
            case 2:
                del data[at : at + rng.randrange(1, 20)]
            case _:
                data[at:at] = data[rng.randrange(len(data)) :][: rng.randrange(60)]
    return bytes(data)


def bombs_of(rng: random.Random) -> Iterator[bytes]:
    deep = rng.randrange(300, 100_000)
    for body in (
        b'{"a":' * deep + b"1" + b"}" * deep,
        b'{"a":' + b"[" * deep + b"]" * deep + b"}",
        b'{"a": [' + b"1," * 1_100_000 + b"1]}",
        b'{"a": "' + b"x" * (26 * MIB) + b'"}',
        b'{"a": ' + b"9" * (26 * MIB) + b"}",
        b'{"a": NaN}',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": "\xff"}',
        b"[1]",
        b"",
    ):
        yield request(body, "/open")
    zeros = b'{"a": "' + bytes(rng.randrange(30, 200) * MIB) + b'"}'
    for coding, packed in (
        ("gzip", gzip.compress(zeros)),
        ("deflate", zlib.compress(zeros)),
        ("gzip", gzip.compress(gzip.compress(zeros))),
        ("gzip, gzip", gzip.compress(gzip.compress(b"{}"))),
        ("gzip", gzip.compress(b"{}")[:-3]),
        ("gzip", gzip.compress(b"{}") + gzip.compress(b"{}")),
        ("br", b"{}"),
        ("zstd", b"{}"),
    ):
        yield request(packed, "/open", f"Content-Encoding: {coding}")
    form = "application/x-www-form-urlencoded"
    yield request(b"&".join(b"k%d=1" % number for number in range(5_000)), "/open", kind=form)
    yield request(b"", "/open", *(f"X-{number}: 1" for number in range(200)))
    yield request(b"{}", "/open", "X: " + "x" * 100_000)
    yield request(b"{}", "/open?" + "x" * 20_000)


SMUGGLED = [
    b"POST /integration/webhook HTTP/1.1\r\nHost: h\r\n%b\r\n\r\n%b" % (head, body)
    for head, body in (
        (b"Content-Length: 2\r\nTransfer-Encoding: chunked", b"0\r\n\r\n{}"),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 2", b"0\r\n\r\n" + signed(BODY, secret="x")),
        (b"Content-Length: 2\r\nContent-Length: 9", b"{}"),
        (b"Content-Length: +2", b"{}"),
        (b"Content-Length: 0x2", b"{}"),
        (b"Content-Length: 2, 2", b"{}"),
        (b"Content-Length : 2", b"{}"),
        (b"Transfer-Encoding: xchunked", b"0\r\n\r\n"),
        (b"Transfer-Encoding: chunked, identity", b"2\r\n{}\r\n0\r\n\r\n"),
        (b"Transfer-Encoding : chunked", b"2\r\n{}\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b"-2\r\n{}\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b"2;" + b"x" * 70_000 + b"\r\n{}\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b"ffffffffffffffffff\r\n{}"),
        (b"Transfer-Encoding: chunked", b"2\r\n{}\r\n0\r\nX-Hub-Signature-256: sha256=00\r\n\r\n"),
        (b" folded: 1\r\nContent-Length: 2", b"{}"),
        (b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2", b"{}"),
        (b"X: \0\r\nContent-Length: 2", b"{}"),
    )
]


def admin_door(seed: int, scale: float) -> Tally:
    """Without the token, with forged cookies, and from other sites' pages with a good cookie."""
    tally, rng = Tally("the admin listener: tokens, cookies, other sites"), random.Random(seed)
    with service() as running:
        cookie = Sessions(TOKEN, SystemClock()).cookie()
        for headers in strangers(rng, cookie, round(500 * scale)):
            ask(tally, running, "/api/events", None, headers)
        good = {"Cookie": f"{COOKIE}={cookie}"}
        for headers in other_sites(running.admin):
            for path in ("/api/deadletters/redrive", "/console/logout"):
                ask(tally, running, path, b'{"all": true}', good | headers)
    return tally


def ask(tally: Tally, running: Service, path: str, data: bytes | None, headers: dict[str, str]) -> None:
    try:
        with urlopen(Request(running.admin + path, data, headers), timeout=10):
            tally.accept_wrongly((path, headers))
    except HTTPError as refused:
        refused.close()
        if refused.code in (401, 403, 415):
            tally.refuse()
        else:
            tally.crash((path, headers, refused.code))


def strangers(rng: random.Random, cookie: str, count: int) -> Iterator[dict[str, str]]:
    yield {}
    for shown in (
        "",
        "Bearer",
        "Bearer ",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        TOKEN,
    ):
        yield {"Authorization": shown}
    for _ in range(count):
        at = rng.randrange(len(cookie))
        other = rng.choice("0123456789abcdef.")
        if other != cookie[at]:
            yield {"Cookie": f"{COOKIE}={cookie[:at]}{other}{cookie[at + 1 :]}"}
        yield {"Authorization": f"Bearer {rng.randbytes(12).hex()}"}


def other_sites(own: str) -> Iterator[dict[str, str]]:
    origins = (
        "https://evil.example",
        "null",
        "http://localhost:1",
        own.replace("http:", "https:") + ".evil",
        own + "0",
    )
    kinds = ("application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data")
    for kind in kinds:
        for origin in origins:
            yield {"Origin": origin, "Content-Type": kind}
        for site in ("cross-site", "same-site"):
            yield {"Sec-Fetch-Site": site, "Content-Type": kind}
    for kind in kinds[1:]:
        yield {"Content-Type": kind}
