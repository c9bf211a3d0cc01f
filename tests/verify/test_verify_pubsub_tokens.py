"""Tokens that are well signed, but not for this endpoint, not by the right key, or not now."""

import asyncio
import functools
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tidegate.core.verification import KeysNeeded, Refused, Verified
from tidegate.verify import gcp_pubsub

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AUDIENCE = "https://hooks.example.com/integration/webhook"
ACCOUNT = "push@project.iam.gserviceaccount.com"
BODY = b'{"message": {"messageId": "136969346945", "data": "e30="}, "subscription": "s"}'


@functools.cache
def google_key(kid: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def jwk_set(*kids: str) -> bytes:
    public = {kid: google_key(kid).public_key() for kid in kids}
    keys = [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key)) | {"kid": kid} for kid, key in public.items()]
    return json.dumps({"keys": keys}).encode()


def token(kid: str = "k1", headers: dict[str, Any] | None = None, **changes: Any) -> str:
    now = int(NOW.timestamp())
    claims = {
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "email": ACCOUNT,
        "email_verified": True,
        "iat": now,
        "exp": now + 3600,
    } | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, google_key(kid), "RS256", headers={"kid": kid} | (headers or {}))


def outcome_of(make_request, settled, bearer: str, **options: Any):
    async def download(url: str) -> bytes:
        return jwk_set("k1")

    verifier = gcp_pubsub(AUDIENCE, [ACCOUNT], download=download)
    return settled(verifier, make_request(BODY, {"Authorization": f"Bearer {bearer}"}, **options))


def test_a_token_as_google_makes_it_is_verified(make_request, settled):
    assert outcome_of(make_request, settled, token()) == Verified("136969346945")
    assert outcome_of(make_request, settled, token(iss="accounts.google.com")) == Verified("136969346945")
    assert outcome_of(make_request, settled, token(aud=["other", AUDIENCE])) == Verified("136969346945")


def test_an_unwrapped_message_has_its_id_in_a_header(make_request, settled):
    async def download(url: str) -> bytes:
        return jwk_set("k1")

    for body in (b'{"any": "payload"}', BODY):
        headers = {"Authorization": f"Bearer {token()}", "X-Goog-Pubsub-Message-Id": "77"}
        verifier = gcp_pubsub(AUDIENCE, ACCOUNT, download=download)
        assert settled(verifier, make_request(body, headers)) == Verified("77")


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://another.example/hook"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"email": "somebody@evil.iam.gserviceaccount.com"},
        {"email": None},
        {"email": [ACCOUNT]},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": None},
        {"exp": None},
        {"iat": None},
        {"exp": int(NOW.timestamp()) - 61},
        {"iat": int(NOW.timestamp()) + 61},
        {"kid": "k2"},
    ],
    ids=str,
)
def test_a_token_with_another_claim_is_refused(make_request, settled, changes):
    assert isinstance(outcome_of(make_request, settled, token(**changes)), Refused)


def test_a_token_that_claims_a_known_key_but_is_signed_with_another_is_refused(make_request, settled):
    forged = token(kid="k2", headers={"kid": "k1"})

    assert isinstance(outcome_of(make_request, settled, forged), Refused)


def hs256(claims: dict[str, Any], key: bytes) -> str:
    """A token under a public key taken for a shared secret; the library refuses to make one."""
    parts = [{"alg": "HS256", "typ": "JWT", "kid": "k1"}, claims]
    signed = b".".join(jwt.utils.base64url_encode(json.dumps(part).encode()) for part in parts)
    signature = hmac.digest(key, signed, "sha256")
    return (signed + b"." + jwt.utils.base64url_encode(signature)).decode()


def test_unsigned_and_symmetric_tokens_are_refused(make_request, settled):
    claims = jwt.decode(token(), options={"verify_signature": False})
    public = google_key("k1").public_key()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo

    for forged in (
        jwt.encode(claims, None, "none", headers={"kid": "k1"}),
        hs256(claims, public.public_bytes(serialization.Encoding.PEM, spki)),
        hs256(claims, public.public_bytes(serialization.Encoding.DER, spki)),
        jwt.encode(claims, google_key("k1"), "RS256"),
    ):
        assert isinstance(outcome_of(make_request, settled, forged), Refused)


def test_google_rotates_its_keys_and_unknown_keys_cost_one_fetch_a_minute(make_request):
    served = ["k1"]
    asked: list[str] = []

    async def download(url: str) -> bytes:
        asked.append(url)
        return jwk_set(*served)

    verifier = gcp_pubsub(AUDIENCE, ACCOUNT, download=download)

    async def ask(kid: str, now: datetime) -> object:
        request = make_request(BODY, {"Authorization": f"Bearer {token(kid)}"}, now=now)
        outcome = verifier.verify(request)
        if isinstance(outcome, KeysNeeded):
            await outcome.fetch()
            outcome = verifier.verify(request)
        return outcome

    async def scenario() -> None:
        assert isinstance(await ask("k1", NOW), Verified)
        assert isinstance(await ask("k2", NOW + timedelta(seconds=30)), Refused)
        assert len(asked) == 1

        served.append("k2")
        assert isinstance(await ask("k2", NOW + timedelta(seconds=60)), Verified)
        assert isinstance(await ask("k1", NOW + timedelta(seconds=61)), Verified)
        assert len(asked) == 2

    asyncio.run(scenario())
