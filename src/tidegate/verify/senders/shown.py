"""Senders that sign nothing and show a secret instead: only the transport (TLS) protects what they send."""

import json

from tidegate.core.verification import Challenge, SignedRequest
from tidegate.verify.credentials import CredentialVerifier, basic_credentials
from tidegate.verify.delivery import DeliveryId
from tidegate.verify.shared_secrets import Secret, Secrets


def gitlab_token(secret: Secret) -> CredentialVerifier:
    """GitLab webhooks with a secret token: `X-Gitlab-Token`. Prefer a signing token, see gitlab.

    The id is Idempotency-Key (GitLab 17.4 and later). X-Gitlab-Event-UUID would not do: all webhooks of a
    recursive chain share it.
    """
    return CredentialVerifier(
        "gitlab_token",
        "header",
        "x-gitlab-token",
        Secrets("gitlab_token(secret=…)", secret),
        delivery_id=DeliveryId.at("Idempotency-Key"),
    )


def okta(secret: Secret, *, header: str = "Authorization") -> CredentialVerifier:
    """Okta event hooks: the header and secret that were entered as the hook's authentication.

    The one-time verification (a GET with `X-Okta-Verification-Challenge`) carries the secret too, and is
    answered.
    """
    return CredentialVerifier(
        "okta",
        "header",
        header.lower(),
        Secrets("okta(secret=…)", secret),
        delivery_id=DeliveryId.at(path="eventId"),
        challenge=_okta_challenge,
    )


def _okta_challenge(request: SignedRequest) -> Challenge | None:
    challenge = request.headers.get("x-okta-verification-challenge")
    if request.method != "GET" or not challenge:
        return None
    return Challenge(200, "application/json", json.dumps({"verification": challenge}).encode())


def basic(
    username: Secret,
    password: Secret,
    *,
    delivery_id_header: str | None = None,
    delivery_id_path: str | None = None,
) -> CredentialVerifier:
    """Basic authentication (RFC 7617): Alertmanager, Argo CD, Azure DevOps, Datadog and many others.

    `delivery_id_header` or `delivery_id_path` ("id", "event.id") say where the sender puts its delivery id.
    """
    return CredentialVerifier(
        "basic",
        "header",
        "authorization",
        basic_credentials("basic", username, password),
        auth_scheme="Basic",
        delivery_id=DeliveryId.at(delivery_id_header, delivery_id_path),
    )


def bearer(
    secret: Secret, *, delivery_id_header: str | None = None, delivery_id_path: str | None = None
) -> CredentialVerifier:
    """A bearer token that both sides know (RFC 6750 §2.1). For tokens that are signed, see gcp_pubsub."""
    return CredentialVerifier(
        "bearer",
        "header",
        "authorization",
        Secrets("bearer(secret=…)", secret),
        auth_scheme="Bearer",
        delivery_id=DeliveryId.at(delivery_id_header, delivery_id_path),
    )


def header_token(
    header: str,
    secret: Secret,
    *,
    delivery_id_header: str | None = None,
    delivery_id_path: str | None = None,
) -> CredentialVerifier:
    """A secret as the whole value of a header that the sender lets its user choose."""
    return CredentialVerifier(
        "header_token",
        "header",
        header.lower(),
        Secrets("header_token(secret=…)", secret),
        delivery_id=DeliveryId.at(delivery_id_header, delivery_id_path),
    )


def query_token(
    secret: Secret,
    *,
    parameter: str = "token",
    delivery_id_header: str | None = None,
    delivery_id_path: str | None = None,
) -> CredentialVerifier:
    """A secret in the URL (`?token=…`), for senders that can do nothing else.

    URLs end up in the access logs of every proxy on the way: prefer any other way.
    """
    return CredentialVerifier(
        "query_token",
        "query",
        parameter,
        Secrets("query_token(secret=…)", secret),
        delivery_id=DeliveryId.at(delivery_id_header, delivery_id_path),
    )
