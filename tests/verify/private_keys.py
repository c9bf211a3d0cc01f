"""Senders that sign with a private key: keys made for the tests, and how each of them signs."""

import base64
import functools
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from tidegate import verify as presets
from tidegate.core.events import EventHeaders
from tidegate.core.verification import SignedRequest, Verifier

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TOPIC = "arn:aws:sns:eu-central-1:123456789012:changes"
AUDIENCE = "https://hooks.example.com/integration/webhook"
ACCOUNT = "push@project.iam.gserviceaccount.com"


def with_headers(request: SignedRequest, more: dict[str, str]) -> SignedRequest:
    return replace(request, headers=EventHeaders(dict(request.headers) | more))


# --- Keys of the senders that sign with a private key ---------------------------------------------------


@functools.cache
def rsa_key(number: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@functools.cache
def ed25519_key(number: int) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


@functools.cache
def certificate(number: int) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    builder = x509.CertificateBuilder(name, name, rsa_key(number).public_key(), number + 1)
    builder = builder.not_valid_before(NOW - timedelta(days=300)).not_valid_after(NOW + timedelta(days=300))
    return builder.sign(rsa_key(number), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def certificate_url(number: int) -> str:
    return f"https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-{number:032x}.pem"


def jwk(number: int) -> dict[str, Any]:
    return json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key(number).public_key())) | {
        "kid": f"key-{number}",
        "alg": "RS256",
        "use": "sig",
    }


def whpk(number: int) -> str:
    raw = ed25519_key(number).public_key().public_bytes_raw()
    return "whpk_" + base64.b64encode(raw).decode()


# --- How each sender signs, where the product does not do it itself -------------------------------------


def sign_ed25519(number: int, draft: SignedRequest, delivery_id: str) -> SignedRequest:
    timestamp = str(int(draft.now.timestamp()))
    message = f"{delivery_id}.{timestamp}.".encode() + draft.body
    signature = base64.b64encode(ed25519_key(number).sign(message)).decode()
    return with_headers(
        draft,
        {
            "webhook-id": delivery_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,bm90IG1pbmU= v1a,{signature}",
        },
    )


def sign_sns(
    number: int, draft: SignedRequest, delivery_id: str, version: str = "2", **more: str
) -> SignedRequest:
    message = {
        "Type": "Notification",
        "MessageId": delivery_id,
        "TopicArn": TOPIC,
        "Message": draft.body.decode(),
        "Timestamp": draft.now.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        **more,
    }
    text = "".join(f"{name}\n{message[name]}\n" for name in sorted(message))
    digest = hashes.SHA1() if version == "1" else hashes.SHA256()
    signature = rsa_key(number).sign(text.encode(), padding.PKCS1v15(), digest)
    message |= {
        "SignatureVersion": version,
        "Signature": base64.b64encode(signature).decode(),
        "SigningCertURL": certificate_url(number),
        "UnsubscribeURL": "https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe",
    }
    return replace(draft, body=json.dumps(message).encode())


def sign_pubsub(number: int, draft: SignedRequest, delivery_id: str, **claims: Any) -> SignedRequest:
    now = int(draft.now.timestamp())
    payload = {
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "email": ACCOUNT,
        "email_verified": True,
        "iat": now,
        "exp": now + 3600,
        **claims,
    }
    token = jwt.encode(payload, rsa_key(number), "RS256", headers={"kid": f"key-{number}"})
    body = json.dumps({"message": {"messageId": delivery_id, "data": "e30="}}).encode()
    return with_headers(replace(draft, body=body), {"authorization": f"Bearer {token}"})


def sns(numbers: Sequence[int], **options: Any) -> Verifier:
    async def download(url: str) -> bytes:
        return {certificate_url(number): certificate(number) for number in numbers}[url]

    return presets.aws_sns(TOPIC, download=download, **options)


def pubsub(numbers: Sequence[int]) -> Verifier:
    async def download(url: str) -> bytes:
        return json.dumps({"keys": [jwk(number) for number in numbers]}).encode()

    return presets.gcp_pubsub(AUDIENCE, ACCOUNT, download=download)
