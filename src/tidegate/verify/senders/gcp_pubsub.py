"""Google Cloud Pub/Sub push: an OpenID Connect token of the push service account, signed by Google (RS256).

Rules from the Pub/Sub guide, "Authentication for push subscriptions", and RFC 7519.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tidegate.core.errors import ConfigurationError, UnavailableError
from tidegate.core.verification import KeysNeeded, Refused, SignedRequest, Verification, Verified
from tidegate.verify.asymmetric import require
from tidegate.verify.delivery import DeliveryId
from tidegate.verify.download import Download, download
from tidegate.verify.public_keys import KeyCache
from tidegate.verify.signatures import NOT_A_DELIVERY

GOOGLE_KEYS_URL = "https://www.googleapis.com/oauth2/v3/certs"
GOOGLE_ISSUERS = ("https://accounts.google.com", "accounts.google.com")
CLOCK_SKEW = timedelta(seconds=60)

_KEYS_MAX_AGE = timedelta(days=1)
_UNKNOWN_KEY_MAX_AGE = timedelta(minutes=1)
"""A token signed with a key that is not known is reason to fetch the keys anew, but not for every such token."""

_DELIVERY_ID = DeliveryId.at("x-goog-pubsub-message-id", "message.messageId")


def gcp_pubsub(
    audience: str | Collection[str],
    service_account: str | Collection[str],
    *,
    keys_url: str = GOOGLE_KEYS_URL,
    download: Download = download,
) -> "PubSubVerifier":
    """Push subscriptions with authentication enabled.

    `audience` is the subscription's audience (the push endpoint's URL if none was set), `service_account`
    the e-mail address of the account that it pushes as. Both are required: Google signs tokens for every
    project. `download` fetches the keys from `keys_url`.

    Needs `tidegate[verify]`. Raises ConfigurationError without it, and if one of the two is empty.
    """
    require("gcp_pubsub", "jwt", "cryptography.hazmat.primitives.asymmetric.rsa")
    audiences = frozenset({audience} if isinstance(audience, str) else audience)
    accounts = frozenset({service_account} if isinstance(service_account, str) else service_account)
    if not all(audiences) or not all(accounts) or not audiences or not accounts:
        raise ConfigurationError(
            "gcp_pubsub(audience=…, service_account=…) needs both, as the push subscription shows them"
        )

    async def load(url: str) -> Mapping[str, Any]:
        return _keys_by_id(url, await download(url))

    return PubSubVerifier(audiences, accounts, keys_url, KeyCache(load))


@dataclass(frozen=True, slots=True)
class PubSubVerifier:
    """Verifies who pushes. The token does not cover the body: TLS alone protects that."""

    audiences: frozenset[str]
    service_accounts: frozenset[str]
    keys_url: str
    keys: KeyCache[Mapping[str, Any]]

    @property
    def name(self) -> str:
        return "gcp_pubsub"

    @property
    def masked_headers(self) -> frozenset[str]:
        return frozenset({"authorization"})

    def verify(self, request: SignedRequest) -> Verification:
        if request.method != "POST":
            return Refused(NOT_A_DELIVERY)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return Refused("the bearer token is missing")
        key_id = _key_id(token)
        if not key_id:
            return Refused("the token cannot be read or is not signed with RS256")
        key = self._key(key_id, request.now)
        if isinstance(key, KeysNeeded):
            return key
        if key is None:
            return Refused("the token is signed with an unknown key")
        claims = self._claims(token, key)
        if claims is None:
            return Refused("the token's signature, issuer or audience is wrong")
        email = claims.get("email")
        if (
            not isinstance(email, str)
            or email not in self.service_accounts
            or claims.get("email_verified") is not True
        ):
            return Refused("the token is of another service account")
        if not _is_current(claims, request.now):
            return Refused("the token is not valid now")
        return Verified(_DELIVERY_ID.find(request.headers, request.body))

    def _key(self, key_id: str, now: datetime) -> Any | KeysNeeded | None:
        for max_age in (_KEYS_MAX_AGE, _UNKNOWN_KEY_MAX_AGE):
            known = self.keys.find(self.keys_url, now, max_age)
            if isinstance(known, KeysNeeded):
                return known
            if key_id in known:
                return known[key_id]
        return None

    def _claims(self, token: str, key: Any) -> dict[str, Any] | None:
        import jwt

        # The times are checked against the request's own `now`, not against the machine's clock.
        options: Any = {
            "verify_exp": False,
            "verify_iat": False,
            "verify_nbf": False,
            "require": ["exp", "iat", "aud", "iss", "email"],
        }
        try:
            return jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=sorted(self.audiences),
                issuer=GOOGLE_ISSUERS,
                options=options,
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return None


def _key_id(token: str) -> str | None:
    """The `kid` of the token's header; None if it is no RS256 token, or not spelled as an encoder would."""
    import jwt
    from jwt.utils import base64url_decode, base64url_encode

    try:
        for part in token.split("."):
            if base64url_encode(base64url_decode(part)) != part.encode("ascii"):
                return None
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return None
    key_id = header.get("kid")
    return key_id if isinstance(key_id, str) and header.get("alg") == "RS256" else None


def _is_current(claims: Mapping[str, Any], now: datetime) -> bool:
    expires, issued = claims.get("exp"), claims.get("iat")
    if not isinstance(expires, (int, float)) or not isinstance(issued, (int, float)):
        return False
    skew = CLOCK_SKEW.total_seconds()
    return issued - skew <= now.timestamp() <= expires + skew


def _keys_by_id(url: str, document: bytes) -> Mapping[str, Any]:
    """The RSA keys of a JWK set (RFC 7517 §5). Raises UnavailableError if it is none."""
    import jwt

    try:
        keys = jwt.PyJWKSet.from_dict(msgspec.json.decode(document, type=dict[str, Any])).keys
    except (jwt.PyJWTError, msgspec.MsgspecError, ValueError, TypeError, AttributeError) as error:
        raise UnavailableError(f"{url} sent no set of keys: {type(error).__name__}") from error
    return {key.key_id: key.key for key in keys if key.key_id and key.key_type == "RSA"}
