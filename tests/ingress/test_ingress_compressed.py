"""Compressed bodies: undone within bounds, whatever they unfold to."""

import gzip
import json
import zlib

import pytest

from tidegate.ingress import IngressLimits, PathPolicy
from tidegate.ingress.answers import Refusal
from tidegate.ingress.encodings import Compressed, decompress

PLAIN = json.dumps({"text": "hello " * 200, "n": list(range(50))}).encode()


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(PLAIN)),
        ("x-gzip", gzip.compress(PLAIN)),
        ("GZIP", gzip.compress(PLAIN)),
        ("deflate", zlib.compress(PLAIN)),
        ("deflate", raw_deflate(PLAIN)),
        ("identity", PLAIN),
    ],
)
def test_compressed_bodies_are_stored_plain(serve, encoding, body):
    async def scenario(edge):
        reply = await edge.post(body, content_encoding=encoding)
        assert reply.status == 202
        [event] = edge.engine.events
        assert event.body == PLAIN
        assert ("content-encoding" in event.headers) == (encoding == "identity")

    serve(scenario)


@pytest.mark.parametrize("size", [100, 200_000])
def test_compressed_body_in_a_thread_or_not(serve, size):
    words = bytes(range(33, 34)) + bytes(97 + (n * n * 7 + n // 26) % 26 for n in range(size))
    plain = json.dumps({"t": words.decode()}).encode()

    async def scenario(edge):
        assert (await edge.post(gzip.compress(plain), content_encoding="gzip")).status == 202
        assert edge.engine.events[0].body == plain

    serve(scenario)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda good: good[:-5], "cut off"),
        (lambda good: good[:10], "cut off"),
        (lambda good: good + b"more", "something follows"),
        (lambda good: good[:12] + b"\xff\xff\xff\xff" + good[16:], ""),
        (lambda good: b"", "cut off"),
        (lambda good: PLAIN, "damaged"),
    ],
)
def test_broken_streams(serve, encoding, spoil, says):
    good = gzip.compress(PLAIN) if encoding == "gzip" else zlib.compress(PLAIN)

    async def scenario(edge):
        reply = await edge.post(spoil(good), content_encoding=encoding)
        assert (reply.status, reply.json["error"]) == (400, "bad-encoding")
        assert says in reply.json["detail"]
        assert edge.engine.events == []

    serve(scenario)


def test_bombs_are_refused_however_they_are_wrapped(serve):
    zeros = b"0" * 40_000_000

    async def scenario(edge):
        for encoding, bomb in (
            ("gzip", gzip.compress(zeros, 9)),
            ("deflate", zlib.compress(zeros, 9)),
            ("deflate", raw_deflate(zeros)),
        ):
            reply = await edge.post(bomb, content_encoding=encoding)
            assert (reply.status, reply.json["error"]) == (413, "too-large")
        assert edge.engine.events == []
        assert (await edge.post()).status == 202

    serve(scenario)


def test_ratio_and_size_each_bound_what_comes_out():
    body = gzip.compress(b"0" * 3_000_000, 9)
    by_ratio = decompress(body, Compressed("gzip"), IngressLimits(max_compression_ratio=100))
    assert isinstance(by_ratio, Refusal)
    assert by_ratio.status == 413
    by_size = decompress(
        body, Compressed("gzip"), IngressLimits(max_compression_ratio=2_000, max_decoded_bytes=2_999_999)
    )
    assert isinstance(by_size, Refusal)
    assert by_size.status == 413
    whole = decompress(
        body, Compressed("gzip"), IngressLimits(max_compression_ratio=2_000, max_decoded_bytes=3_000_000)
    )
    assert whole == b"0" * 3_000_000


def test_signature_may_be_over_the_body_as_sent_or_as_unfolded(serve, signed):
    verifier = signed()
    packed = gzip.compress(PLAIN)

    async def scenario(edge):
        for body in (PLAIN, packed):
            reply = await edge.post(packed, content_encoding="gzip", x_signature=verifier.sign(body))
            assert reply.status == 202
        refused = await edge.post(packed, content_encoding="gzip", x_signature=verifier.sign(b"{}"))
        assert refused.status == 401
        assert [event.body for event in edge.engine.events] == [PLAIN, PLAIN]

    serve(scenario, policies=(PathPolicy("/webhook", verifiers=(verifier,)),))
