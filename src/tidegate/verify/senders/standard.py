"""Standard Webhooks (standardwebhooks.com) and the senders that follow it, with shared secrets or ed25519 keys."""

import base64
from datetime import timedelta

from tidegate.core.errors import ConfigurationError
from tidegate.verify.asymmetric import Ed25519Keys, require
from tidegate.verify.delivery import DeliveryId
from tidegate.verify.layout import SignatureHeader
from tidegate.verify.shared_secrets import Secret, Secrets
from tidegate.verify.signature_keys import HmacKeys, SignatureKeys
from tidegate.verify.signatures import SignatureScheme, SignatureVerifier
from tidegate.verify.templates import SignedText
from tidegate.verify.times import SignedTime

FIVE_MINUTES = timedelta(minutes=5)
ED25519_KEY_BYTES = 32

_TEXT = SignedText.parse("{id}.{timestamp}.{body}")


def standard_webhooks(
    secret: Secret = None, *, public_key: Secret = None, tolerance: timedelta = FIVE_MINUTES
) -> SignatureVerifier:
    """Any sender that follows Standard Webhooks: `webhook-signature`.

    Give the shared secret as the sender shows it (`whsec_` and base64, with or without the prefix; bytes
    are taken as the key itself), or, for senders that sign with ed25519, their public key (`whpk_…`).
    Raises ConfigurationError for both, none, or what cannot be decoded.
    """
    return _standard("standard_webhooks", "webhook", secret, public_key, tolerance)


def svix(
    secret: Secret = None, *, public_key: Secret = None, tolerance: timedelta = FIVE_MINUTES
) -> SignatureVerifier:
    """Senders that deliver through Svix: Standard Webhooks with `svix-` headers."""
    return _standard("svix", "svix", secret, public_key, tolerance)


def gitlab(secret: Secret, *, tolerance: timedelta = FIVE_MINUTES) -> SignatureVerifier:
    """GitLab webhooks with a signing token (`whsec_…`), which follow Standard Webhooks.

    For webhooks that have only the older secret token, see gitlab_token.
    """
    return _standard("gitlab", "webhook", secret, None, tolerance)


def _standard(
    name: str, prefix: str, secret: Secret, public_key: Secret, tolerance: timedelta
) -> SignatureVerifier:
    if secret is not None and public_key is not None:
        raise ConfigurationError(f"{name} takes a secret or a public key: a sender signs with one of them")
    keys: SignatureKeys
    if public_key is None:
        version = "v1,"
        keys = HmacKeys(Secrets(f"{name}(secret=…)", secret, _shared_key), encoding="base64")
    else:
        require(f"{name}(public_key=…)", "cryptography.hazmat.primitives.asymmetric.ed25519")
        version = "v1a,"
        keys = Ed25519Keys(Secrets(f"{name}(public_key=…)", public_key, _public_key))
    scheme = SignatureScheme(
        name,
        SignatureHeader(f"{prefix}-signature", prefix=version, separator=" "),
        text=_TEXT,
        time=SignedTime(tolerance, header=f"{prefix}-timestamp"),
        id_header=f"{prefix}-id",
        delivery_id=DeliveryId.at(f"{prefix}-id"),
    )
    return SignatureVerifier(scheme, keys)


def _shared_key(secret: str | bytes) -> bytes:
    if isinstance(secret, bytes):
        return secret
    key = _decoded(secret.removeprefix("whsec_"), "whsec_")
    if not key:
        raise ValueError("nothing follows 'whsec_'")
    return key


def _public_key(key: str | bytes) -> bytes:
    raw = key if isinstance(key, bytes) else _decoded(key.removeprefix("whpk_"), "whpk_")
    if len(raw) != ED25519_KEY_BYTES:
        raise ValueError(f"an ed25519 public key has {ED25519_KEY_BYTES} bytes, this one {len(raw)}")
    return raw


def _decoded(text: str, prefix: str) -> bytes:
    try:
        bare = text.rstrip("=")  # some senders leave the padding out
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except ValueError:
        raise ValueError(
            f"it is not base64: copy it from the sender as it stands, {prefix!r} included"
        ) from None
