"""Public-key signatures, by way of the optional `cryptography` and `PyJWT` packages (extra `tidegate[verify]`)."""

import base64
import binascii
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tidegate.core.errors import ConfigurationError
from tidegate.verify.shared_secrets import Secrets


def require(verifier: str, *modules: str) -> None:
    """Raises ConfigurationError if one of the optional modules is not installed."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError:
            raise ConfigurationError(
                f"{verifier} needs the package that holds {module!r}: pip install 'tidegate[verify]'"
            ) from None


def canonical_base64(text: str) -> bytes | None:
    """What padded base64 decodes to; None for any but the one spelling that an encoder would write."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if base64.b64encode(decoded).decode("ascii") == text else None


@dataclass(frozen=True, slots=True)
class SigningCertificate:
    """An RSA certificate. `verify(signature, message, digest)` uses PKCS #1 v1.5 padding (RFC 8017 §8.2)."""

    valid_from: datetime
    valid_until: datetime
    verify: Callable[[bytes, bytes, Literal["sha1", "sha256"]], bool]


def load_certificate(pem: bytes) -> SigningCertificate:
    """Raises ValueError if it is no PEM certificate with an RSA key."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    certificate = x509.load_pem_x509_certificate(pem)
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("the certificate holds no RSA key")  # noqa: TRY004  one error for every bad document

    def verify(signature: bytes, message: bytes, digest: Literal["sha1", "sha256"]) -> bool:
        # SHA-1 is the sender's choice (SNS signature version 1), not ours; aws_sns can refuse it.
        algorithm = hashes.SHA1() if digest == "sha1" else hashes.SHA256()  # noqa: S303
        try:
            key.verify(signature, message, padding.PKCS1v15(), algorithm)
        except InvalidSignature:
            return False
        return True

    return SigningCertificate(certificate.not_valid_before_utc, certificate.not_valid_after_utc, verify)


class Ed25519Keys:
    """ed25519 public keys (RFC 8032) that check base64 signatures. They cannot sign."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Secrets) -> None:
        """`keys` yields the raw 32 bytes of each key."""
        self._keys = keys

    def matches(self, message: bytes, signatures: Iterable[str]) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        presented = [decoded for decoded in map(canonical_base64, signatures) if decoded is not None]
        for raw in self._keys.resolve():
            key = Ed25519PublicKey.from_public_bytes(raw)
            for signature in presented:
                try:
                    key.verify(signature, message)
                except InvalidSignature:
                    continue
                return True
        return False

    def sign(self, message: bytes) -> str:
        raise ConfigurationError(
            "standard_webhooks with a public key cannot sign: only the sender holds the private key"
        )

    def check(self) -> None:
        self._keys.resolve()
