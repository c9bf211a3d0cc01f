"""The engine opened up: an HMAC signature of any sender that has no preset."""

from datetime import timedelta
from typing import get_args

from tidegate.core.errors import ConfigurationError
from tidegate.verify.delivery import DeliveryId
from tidegate.verify.layout import SignatureHeader
from tidegate.verify.shared_secrets import Secret, Secrets
from tidegate.verify.signature_keys import Digest, Encoding, HmacKeys
from tidegate.verify.signatures import SignatureScheme, SignatureVerifier
from tidegate.verify.templates import SignedText
from tidegate.verify.times import SignedTime, TimeFormat


def hmac_signature(
    header: str,
    secret: Secret,
    *,
    digest: Digest = "sha256",
    encoding: Encoding = "hex",
    signed: str = "{body}",
    prefix: str = "",
    separator: str = "",
    timestamp_prefix: str = "",
    timestamp_header: str | None = None,
    timestamp_format: TimeFormat = "seconds",
    tolerance: timedelta = timedelta(minutes=5),
    delivery_id_header: str | None = None,
    delivery_id_path: str | None = None,
    name: str = "hmac_signature",
) -> SignatureVerifier:
    """A sender that signs with HMAC.

    `header` holds the signature, after `prefix` ("sha256="); with a `separator` it is a list of which one
    item must match, and the item that begins with `timestamp_prefix` ("t=") is the timestamp. `signed` is
    what the sender signs, with {body}, {timestamp}, {id} (from `delivery_id_header`), {method} and {url} in
    their places. Where {timestamp} is signed, it must lie within `tolerance` of now. `name` appears in logs
    and metrics.

    Raises ConfigurationError for an empty secret and for parts that do not fit together.
    """
    _check_choice(name, "digest", digest, get_args(Digest))
    _check_choice(name, "encoding", encoding, get_args(Encoding))
    _check_choice(name, "timestamp_format", timestamp_format, get_args(TimeFormat))
    text = SignedText.parse(signed)
    time = None
    if timestamp_header or timestamp_prefix:
        if not text.names("timestamp"):
            raise ConfigurationError(
                f"{name}: the timestamp is not part of the signed string {signed!r}, so anybody could renew it: "
                "name {timestamp} there as the sender does, or leave the timestamp out"
            )
        time = SignedTime(tolerance, timestamp_format, header=(timestamp_header or "").lower())
    scheme = SignatureScheme(
        name,
        SignatureHeader(header.lower(), prefix, separator, timestamp_prefix),
        text,
        time,
        id_header=(delivery_id_header or "").lower() if text.names("id") else "",
        delivery_id=DeliveryId.at(delivery_id_header, delivery_id_path),
    )
    return SignatureVerifier(scheme, HmacKeys(Secrets(f"{name}(secret=…)", secret), digest, encoding))


def _check_choice(verifier: str, argument: str, given: str, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise ConfigurationError(f"{verifier}: {argument} is {given!r}; it may be {', '.join(allowed)}")
