"""HMAC keys: they make signatures and compare them, always in constant time."""

import base64
import hmac
from collections.abc import Iterable
from typing import Literal, Protocol, TypeAlias

from tidegate.verify.shared_secrets import Secrets

Digest: TypeAlias = Literal["sha1", "sha256", "sha512"]
Encoding: TypeAlias = Literal["hex", "base64"]


class SignatureKeys(Protocol):
    """What a signature is checked with: shared secrets (HMAC) or public keys."""

    def matches(self, message: bytes, signatures: Iterable[str]) -> bool:
        """Whether one of the signatures is one of the keys' over the message. Raises ConfigurationError if
        there is no key; never for what the signatures look like.
        """
        ...

    def sign(self, message: bytes) -> str:
        """The newest key's signature. Raises ConfigurationError if there is none that can sign."""
        ...

    def check(self) -> None:
        """Raises ConfigurationError if the keys cannot be had now."""
        ...


class HmacKeys:
    """HMAC (RFC 2104) with shared secrets, written as lower-case hex or base64 (RFC 4648 §4, padded)."""

    __slots__ = ("_digest", "_encoding", "_secrets")

    def __init__(self, secrets: Secrets, digest: Digest = "sha256", encoding: Encoding = "hex") -> None:
        self._secrets = secrets
        self._digest = digest
        self._encoding = encoding

    def __repr__(self) -> str:
        return f"HmacKeys({self._digest}, {self._encoding}, ***)"

    def matches(self, message: bytes, signatures: Iterable[str]) -> bool:
        presented = [header_bytes(signature) for signature in signatures]
        for key in self._secrets.resolve():
            # The texts are compared, not what they decode to: one signature has one spelling.
            expected = self._signature(key, message).encode("ascii")
            if any(hmac.compare_digest(expected, signature) for signature in presented):
                return True
        return False

    def sign(self, message: bytes) -> str:
        return self._signature(self._secrets.resolve()[0], message)

    def check(self) -> None:
        self._secrets.resolve()

    def _signature(self, key: bytes, message: bytes) -> str:
        digest = hmac.digest(key, message, self._digest)
        return digest.hex() if self._encoding == "hex" else base64.b64encode(digest).decode("ascii")


def header_bytes(value: str) -> bytes:
    """A header's value as it was on the wire (ISO 8859-1); what no wire carries becomes bytes that match nothing."""
    return value.encode("iso-8859-1", "backslashreplace")
