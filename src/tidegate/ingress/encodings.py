"""Undoes a body's content encoding within bounds: what it may unfold to, and how many times its own size."""

import zlib
from dataclasses import dataclass

from tidegate.ingress.answers import Refusal
from tidegate.ingress.limits import MIB, IngressLimits

_STEP_BYTES = 256 * 1024
_RATIO_FLOOR_BYTES = MIB
"""Below this size a high ratio harms nobody: short repetitive JSON compresses well."""

_GZIP_WINDOW = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Identity:
    """The body is as it is."""


@dataclass(frozen=True, slots=True)
class Compressed:
    """One coding to undo: `gzip` or `deflate`."""

    coding: str


def content_coding(value: str) -> Identity | Compressed | Refusal:
    """Read Content-Encoding (RFC 9110 §8.4). One coding at most: nobody compresses twice for a good reason."""
    coding = value.strip().lower()
    if coding in ("", "identity"):
        return Identity()
    if coding in ("gzip", "x-gzip"):
        return Compressed("gzip")
    if coding == "deflate":
        return Compressed("deflate")
    return Refusal(
        415,
        "unsupported-encoding",
        "Content-Encoding can be gzip, deflate or identity, one of them",
        close=True,
    )


def decompress(body: bytes, coding: Compressed, limits: IngressLimits) -> bytes | Refusal:
    """The plain body. A broken, cut-off or continued stream is refused."""
    stream = zlib.decompressobj(_GZIP_WINDOW if coding.coding == "gzip" else _deflate_window(body))
    most = min(
        limits.max_decoded_bytes, max(_RATIO_FLOOR_BYTES, int(len(body) * limits.max_compression_ratio))
    )
    pieces: list[bytes] = []
    size = 0
    rest = body
    try:
        while not stream.eof:
            piece = stream.decompress(rest, _STEP_BYTES)
            rest = stream.unconsumed_tail
            size += len(piece)
            if size > most:
                return _too_large(limits)
            if not piece and not rest and not stream.eof:
                return _broken(coding, "it is cut off")
            pieces.append(piece)
    except zlib.error:
        return _broken(coding, "its data is damaged or of another coding")
    if stream.unused_data:
        return _broken(coding, "something follows its end")
    return b"".join(pieces)


def _deflate_window(body: bytes) -> int:
    """`deflate` means the zlib format (RFC 9110 §8.4.1.2), but some senders leave its header out."""
    wrapped = len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0
    return zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS


def _broken(coding: Compressed, why: str) -> Refusal:
    return Refusal(400, "bad-encoding", f"the body is not valid {coding.coding}: {why}")


def _too_large(limits: IngressLimits) -> Refusal:
    detail = (
        f"the body unfolds to more than {limits.max_decoded_bytes} bytes "
        f"or {limits.max_compression_ratio:g} times its size"
    )
    return Refusal(413, "too-large", detail)
