"""Every preset, how its sender signs, where the proof stands, and all that is one bit away from a signed request."""

import base64
import functools
import json
import string
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from hypothesis import strategies as st

from tests.verify.private_keys import (
    NOW,
    pubsub,
    sign_ed25519,
    sign_pubsub,
    sign_sns,
    sns,
    whpk,
    with_headers,
)
from tidegate import verify as presets
from tidegate.core.events import EventHeaders
from tidegate.core.verification import SignedRequest, Verifier
from tidegate.verify import signing

FORM = "application/x-www-form-urlencoded"


def product_sign(build: Callable[[Any], Verifier]) -> Callable[[Any, SignedRequest, str], SignedRequest]:
    def sign(secret: Any, draft: SignedRequest, delivery_id: str) -> SignedRequest:
        return signing.sign(
            build([secret]),
            draft.body,
            now=draft.now,
            delivery_id=delivery_id,
            url=draft.url,
            content_type=draft.headers["content-type"],
        )

    return sign


# --- Where the proof stands -----------------------------------------------------------------------------


def without_header(request: SignedRequest, name: str) -> SignedRequest:
    kept = {key: value for key, value in request.headers.items() if key != name}
    return replace(request, headers=EventHeaders(kept))


def flips(text: str, start: int = 0) -> list[str]:
    """The text with each bit of each character flipped."""
    return [
        text[:at] + chr(ord(text[at]) ^ (1 << bit)) + text[at + 1 :]
        for at in range(start, len(text))
        for bit in range(7)
    ]


@dataclass(frozen=True)
class InHeader:
    name: str
    start: int = 0  # what stands before is found in any case

    def flipped(self, request: SignedRequest) -> list[SignedRequest]:
        value = request.headers[self.name]
        return [with_headers(request, {self.name: text}) for text in flips(value, self.start)]

    def removed(self, request: SignedRequest) -> SignedRequest:
        return without_header(request, self.name)


@dataclass(frozen=True)
class InQuery:
    name: str

    def flipped(self, request: SignedRequest) -> list[SignedRequest]:
        value = dict(parse_qsl(request.query))[self.name]
        return [replace(request, query=f"{self.name}={quote(text)}") for text in flips(value)]

    def removed(self, request: SignedRequest) -> SignedRequest:
        return replace(request, query="")


@dataclass(frozen=True)
class InBody:
    name: str

    def flipped(self, request: SignedRequest) -> list[SignedRequest]:
        document = json.loads(request.body)
        return [
            replace(request, body=json.dumps(document | {self.name: text}).encode())
            for text in flips(document[self.name])
        ]

    def removed(self, request: SignedRequest) -> SignedRequest:
        document = json.loads(request.body)
        del document[self.name]
        return replace(request, body=json.dumps(document).encode())


def raw_body_flips(request: SignedRequest) -> list[SignedRequest]:
    body = request.body
    flipped = [body + b"\0", body[:-1]] if body else [b"\0"]
    for at in range(len(body)):
        flipped += [body[:at] + bytes([body[at] ^ (1 << bit)]) + body[at + 1 :] for bit in range(8)]
    return [replace(request, body=changed) for changed in flipped]


def form_body_flips(request: SignedRequest) -> list[SignedRequest]:
    """Those that change a parameter: %2b and %2B are two spellings of the same one."""
    meant = parse_qsl(request.body.decode(), keep_blank_values=True)
    return [
        changed
        for changed in raw_body_flips(request)
        if parse_qsl(changed.body.decode("latin-1"), keep_blank_values=True) != meant
    ]


def sns_body_flips(request: SignedRequest) -> list[SignedRequest]:
    """The signed fields. UnsubscribeURL and the like are not signed, and the certificate's URL is no content."""
    signed = ("Message", "MessageId", "Timestamp", "TopicArn", "Type", "SignatureVersion")
    return [changed for name in signed for changed in InBody(name).flipped(request)]


# --- The presets ----------------------------------------------------------------------------------------

TOKEN_TEXT = st.text(string.ascii_letters + string.digits + "-_.!", min_size=8, max_size=16)
TWO_TOKENS = st.tuples(TOKEN_TEXT, TOKEN_TEXT)
WHSEC = st.binary(min_size=24, max_size=24).map(lambda key: "whsec_" + base64.b64encode(key).decode())
KEY_PAIRS = st.just((0, 1))

JSON_BODY = st.dictionaries(
    st.text(string.ascii_letters, max_size=3), st.text(max_size=3) | st.integers() | st.none(), max_size=3
).map(lambda document: json.dumps(document, ensure_ascii=False).encode())
ANY_BODY = JSON_BODY | st.binary(max_size=32)
FORM_BODY = st.dictionaries(st.text(min_size=1, max_size=4), st.text(max_size=4), max_size=3).map(
    lambda form: urlencode(form, errors="replace").encode()
)
SNS_BODY = st.text(string.printable, max_size=12).map(str.encode)


@dataclass(frozen=True)
class Preset:
    name: str
    build: Callable[[Any], Verifier]  # from a list of secrets, newest first
    proof: InHeader | InQuery | InBody
    sign: Callable[[Any, SignedRequest, str], SignedRequest]
    needed: tuple[InHeader, ...] = ()  # other headers that must be there
    signed: tuple[InHeader, ...] = ()  # what else is signed, outside of body and proof: timestamp, id
    tolerance: timedelta | None = None
    bodies: st.SearchStrategy[bytes] = ANY_BODY
    body_flips: Callable[[SignedRequest], list[SignedRequest]] | None = raw_body_flips
    secrets: st.SearchStrategy[tuple[Any, Any]] = TWO_TOKENS
    has_delivery_id: bool = True
    content_type: str = "application/json"


def symmetric(name: str, proof: Any, build: Callable[[Any], Verifier], **more: Any) -> Preset:
    return Preset(name, build, proof, product_sign(build), **more)


def simple(name: str, header: str, start: int = 0, **more: Any) -> Preset:
    return symmetric(name, InHeader(header, start), getattr(presets, name), **more)


MINUTES = timedelta(minutes=1)
SHOWN: dict[str, Any] = {"body_flips": None, "bodies": JSON_BODY}
STANDARD = {
    "signed": (InHeader("webhook-timestamp"), InHeader("webhook-id")),
    "needed": (InHeader("webhook-timestamp"), InHeader("webhook-id")),
    "tolerance": 5 * MINUTES,
}

PRESETS = [
    simple("github", "x-hub-signature-256"),
    simple("jira", "x-hub-signature"),
    simple("bitbucket_cloud", "x-hub-signature"),
    simple("bitbucket_data_center", "x-hub-signature"),
    simple("snyk", "x-hub-signature"),
    simple("pagerduty", "x-pagerduty-signature", bodies=JSON_BODY),
    simple("shopify", "x-shopify-hmac-sha256"),
    simple("sentry", "sentry-hook-signature"),
    simple("launchdarkly", "x-ld-signature", bodies=JSON_BODY),
    simple("sonarqube", "x-sonar-webhook-hmac-sha256", bodies=JSON_BODY),
    simple("hcp_terraform", "x-tfe-notification-signature", has_delivery_id=False),
    simple(
        "slack",
        "x-slack-signature",
        signed=(InHeader("x-slack-request-timestamp"),),
        needed=(InHeader("x-slack-request-timestamp"),),
        tolerance=5 * MINUTES,
        bodies=JSON_BODY,
    ),
    simple("stripe", "stripe-signature", tolerance=5 * MINUTES, bodies=JSON_BODY),
    simple("linear", "linear-signature", tolerance=MINUTES, bodies=JSON_BODY),
    simple(
        "zendesk",
        "x-zendesk-webhook-signature",
        signed=(InHeader("x-zendesk-webhook-signature-timestamp"),),
        needed=(InHeader("x-zendesk-webhook-signature-timestamp"),),
        tolerance=5 * MINUTES,
    ),
    simple(
        "mlflow",
        "x-mlflow-signature",
        signed=(InHeader("x-mlflow-timestamp"), InHeader("x-mlflow-delivery-id")),
        needed=(InHeader("x-mlflow-timestamp"), InHeader("x-mlflow-delivery-id")),
        tolerance=5 * MINUTES,
    ),
    simple("standard_webhooks", "webhook-signature", secrets=st.tuples(WHSEC, WHSEC), **STANDARD),
    simple("gitlab", "webhook-signature", secrets=st.tuples(WHSEC, WHSEC), **STANDARD),
    simple(
        "svix",
        "svix-signature",
        signed=(InHeader("svix-timestamp"), InHeader("svix-id")),
        needed=(InHeader("svix-timestamp"), InHeader("svix-id")),
        tolerance=5 * MINUTES,
        secrets=st.tuples(WHSEC, WHSEC),
    ),
    Preset(
        "standard_webhooks_ed25519",
        lambda numbers: presets.standard_webhooks(public_key=[whpk(number) for number in numbers]),
        InHeader("webhook-signature", len("v1,bm90IG1pbmU= ")),
        sign_ed25519,
        secrets=KEY_PAIRS,
        **STANDARD,
    ),
    simple("gitlab_token", "x-gitlab-token", **SHOWN),
    simple("okta", "authorization", **SHOWN),
    simple("bearer", "authorization", len("Bearer "), has_delivery_id=False, **SHOWN),
    symmetric(
        "basic",
        InHeader("authorization", len("Basic ")),
        lambda secrets: presets.basic("port", secrets, delivery_id_path="id"),
        **SHOWN,
    ),
    symmetric(
        "header_token",
        InHeader("x-token"),
        lambda secrets: presets.header_token("X-Token", secrets, delivery_id_header="X-Id"),
        **SHOWN,
    ),
    symmetric(
        "query_token",
        InQuery("token"),
        lambda secrets: presets.query_token(secrets, delivery_id_path="event.id"),
        **SHOWN,
    ),
    simple(
        "twilio",
        "x-twilio-signature",
        bodies=FORM_BODY,
        body_flips=form_body_flips,
        content_type=f"{FORM}; charset=UTF-8",
    ),
    symmetric("twilio_json", InHeader("x-twilio-signature"), presets.twilio),
    Preset(
        "aws_sns",
        sns,
        InBody("Signature"),
        sign_sns,
        tolerance=timedelta(hours=2),
        bodies=SNS_BODY,
        body_flips=sns_body_flips,
        secrets=KEY_PAIRS,
    ),
    Preset(
        "aws_sns_version_1",
        sns,
        InBody("Signature"),
        functools.partial(sign_sns, version="1", Subject="A subject"),
        tolerance=timedelta(hours=2),
        bodies=SNS_BODY,
        body_flips=sns_body_flips,
        secrets=KEY_PAIRS,
    ),
    Preset(
        "aws_sns_confirmation",
        sns,
        InBody("Signature"),
        functools.partial(
            sign_sns,
            Type="SubscriptionConfirmation",
            Token="2336412f37",
            SubscribeURL="https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription",
        ),
        tolerance=timedelta(hours=2),
        bodies=SNS_BODY,
        body_flips=sns_body_flips,
        secrets=KEY_PAIRS,
    ),
    Preset(
        "gcp_pubsub",
        pubsub,
        InHeader("authorization", len("Bearer ")),
        sign_pubsub,
        tolerance=timedelta(hours=1, seconds=60),
        body_flips=None,
        secrets=KEY_PAIRS,
    ),
    symmetric(
        "hmac_signature",
        InHeader("x-signature"),
        lambda secrets: presets.hmac_signature("X-Signature", secrets, delivery_id_header="X-Id"),
    ),
    symmetric(
        "hmac_signature_of_everything",
        InHeader("x-signature"),
        lambda secrets: presets.hmac_signature(
            "X-Signature",
            secrets,
            digest="sha512",
            encoding="base64",
            signed="{method}|{url}|{id}|{timestamp}|{body}",
            prefix="sha512:",
            separator=";",
            timestamp_header="X-Time",
            timestamp_format="milliseconds",
            tolerance=timedelta(seconds=30),
            delivery_id_header="X-Id",
            name="example",
        ),
        signed=(InHeader("x-time"), InHeader("x-id")),
        needed=(InHeader("x-time"), InHeader("x-id")),
        tolerance=timedelta(seconds=30),
    ),
]


def draft(preset: Preset, body: bytes) -> SignedRequest:
    url = "https://hooks.example.com/integration/webhook"
    return SignedRequest(
        "POST", "/webhook", "", EventHeaders({"Content-Type": preset.content_type}), body, url, NOW
    )


def one_bit_away(preset: Preset, request: SignedRequest) -> list[SignedRequest]:
    """The request with each bit flipped that its sender vouches for: proof, timestamp, id, body."""
    changed = preset.proof.flipped(request)
    for part in preset.signed:
        changed += part.flipped(request)
    return changed + preset.body_flips(request) if preset.body_flips else changed
