"""Presets whose senders publish a recipe but no example: the recipe, written out with the standard library."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest

from tidegate.core.verification import Verified
from tidegate.verify import (
    hcp_terraform,
    launchdarkly,
    linear,
    sentry,
    shopify,
    snyk,
    sonarqube,
    zendesk,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = b"a shared secret"
BODY = json.dumps(
    {"_id": "ld-1", "taskId": "AX-2", "webhookTimestamp": 1767225600000, "name": "Über"}
).encode()
TIMESTAMP = "2026-01-01T00:00:00Z"


def hexadecimal(digest: str, message: bytes = BODY) -> str:
    return hmac.new(KEY, message, getattr(hashlib, digest)).hexdigest()


def in_base64(message: bytes = BODY) -> str:
    return base64.b64encode(hmac.new(KEY, message, hashlib.sha256).digest()).decode()


@pytest.mark.parametrize(
    ("preset", "headers", "delivery_id"),
    [
        (
            shopify,
            {"X-Shopify-Hmac-SHA256": in_base64(), "X-Shopify-Webhook-Id": "s1", "X-Shopify-Event-Id": "e"},
            "s1",
        ),
        (linear, {"Linear-Signature": hexadecimal("sha256"), "Linear-Delivery": "l1"}, "l1"),
        (sentry, {"Sentry-Hook-Signature": hexadecimal("sha256"), "Request-ID": "r1"}, "r1"),
        (snyk, {"X-Hub-Signature": f"sha256={hexadecimal('sha256')}", "X-Snyk-Transport-ID": "t1"}, "t1"),
        (launchdarkly, {"X-LD-Signature": hexadecimal("sha256")}, "ld-1"),
        (sonarqube, {"X-Sonar-Webhook-HMAC-SHA256": hexadecimal("sha256")}, "AX-2"),
        (hcp_terraform, {"X-TFE-Notification-Signature": hexadecimal("sha512")}, None),
        (
            zendesk,
            {
                "X-Zendesk-Webhook-Signature": in_base64(TIMESTAMP.encode() + BODY),
                "X-Zendesk-Webhook-Signature-Timestamp": TIMESTAMP,
                "X-Zendesk-Webhook-Invocation-Id": "8350205582",
            },
            "8350205582",
        ),
    ],
)
def test_the_documented_recipe(make_request, preset, headers, delivery_id):
    assert preset(KEY).verify(make_request(BODY, headers)) == Verified(delivery_id)
