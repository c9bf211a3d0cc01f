"""One suite for every preset: what is signed is verified, and nothing else is."""

import base64
import functools
import json
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tidegate import verify as presets
from tidegate.core.errors import ConfigurationError
from tidegate.core.events import EventHeaders
from tidegate.core.verification import Challenge, KeysNeeded, Refused, SignedRequest, Verified, Verifier
from tidegate.verify import signing

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TOPIC = "arn:aws:sns:eu-central-1:123456789012:changes"
AUDIENCE = "https://hooks.example.com/integration/webhook"
ACCOUNT = "push@project.iam.gserviceaccount.com"
FORM = "application/x-www-form-urlencoded"

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


def with_headers(request: SignedRequest, more: dict[str, str]) -> SignedRequest:
    return replace(request, headers=EventHeaders(dict(request.headers) | more))


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
    times: tuple[InHeader, ...] = ()  # signed timestamps outside of body and proof
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
    "times": (InHeader("webhook-timestamp"),),
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
        times=(InHeader("x-slack-request-timestamp"),),
        needed=(InHeader("x-slack-request-timestamp"),),
        tolerance=5 * MINUTES,
        bodies=JSON_BODY,
    ),
    simple("stripe", "stripe-signature", tolerance=5 * MINUTES, bodies=JSON_BODY),
    simple("linear", "linear-signature", tolerance=MINUTES, bodies=JSON_BODY),
    simple(
        "zendesk",
        "x-zendesk-webhook-signature",
        times=(InHeader("x-zendesk-webhook-signature-timestamp"),),
        needed=(InHeader("x-zendesk-webhook-signature-timestamp"),),
        tolerance=5 * MINUTES,
    ),
    simple(
        "mlflow",
        "x-mlflow-signature",
        times=(InHeader("x-mlflow-timestamp"),),
        needed=(InHeader("x-mlflow-timestamp"), InHeader("x-mlflow-delivery-id")),
        tolerance=5 * MINUTES,
    ),
    simple("standard_webhooks", "webhook-signature", secrets=st.tuples(WHSEC, WHSEC), **STANDARD),
    simple("gitlab", "webhook-signature", secrets=st.tuples(WHSEC, WHSEC), **STANDARD),
    simple(
        "svix",
        "svix-signature",
        times=(InHeader("svix-timestamp"),),
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
        times=(InHeader("x-time"),),
        needed=(InHeader("x-time"), InHeader("x-id")),
        tolerance=timedelta(seconds=30),
    ),
]

SYMMETRIC = [preset for preset in PRESETS if preset.secrets is not KEY_PAIRS]

symmetric_presets = pytest.mark.parametrize("preset", SYMMETRIC, ids=lambda preset: preset.name)
every_preset = pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
DELIVERY_IDS = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=12)


def draft(preset: Preset, body: bytes) -> SignedRequest:
    url = "https://hooks.example.com/integration/webhook"
    return SignedRequest(
        "POST", "/webhook", "", EventHeaders({"Content-Type": preset.content_type}), body, url, NOW
    )


@st.composite
def signed_requests(draw: st.DrawFn, preset: Preset) -> tuple[Any, Any, SignedRequest, str]:
    """The secret that signed, another one, the request and its delivery id."""
    secret, other = draw(preset.secrets)
    assume(secret != other)
    delivery_id = draw(DELIVERY_IDS)
    return secret, other, preset.sign(secret, draft(preset, draw(preset.bodies)), delivery_id), delivery_id


def test_every_public_preset_is_in_the_suite():
    others = {"Secret", "SecretSource", "check_verifier", "sns_subscribe_url"}

    assert set(presets.__all__) - others <= {preset.name for preset in PRESETS}


@every_preset
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_signed_request_is_verified_with_its_delivery_id(settled, preset, data):
    secret, _, request, delivery_id = data.draw(signed_requests(preset))

    outcome = settled(preset.build([secret]), request)

    assert outcome == Verified(delivery_id if preset.has_delivery_id else None)


@every_preset
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_any_flipped_bit_is_refused(settled, preset, data):
    secret, _, request, _ = data.draw(signed_requests(preset))
    verifier = preset.build([secret])
    assert isinstance(settled(verifier, request), Verified)

    changed = preset.proof.flipped(request)
    for part in preset.times:
        changed += part.flipped(request)
    if preset.body_flips:
        changed += preset.body_flips(request)

    accepted = [altered for altered in changed if not isinstance(verifier.verify(altered), Refused)]
    assert accepted == []
    assert changed


@every_preset
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_any_flipped_bit_of_the_secret_is_refused(settled, preset, data):
    secret, other, request, _ = data.draw(signed_requests(preset))
    wrong = flips(secret) if isinstance(secret, str) else [other]

    for flipped in wrong:
        try:
            verifier = preset.build([flipped])
        except ConfigurationError:
            continue  # no longer a secret of this sender's form
        if preset.secrets is KEY_PAIRS:
            request = with_the_key_named_for(preset, request, flipped)
        assert isinstance(settled(verifier, request), Refused)


def with_the_key_named_for(preset: Preset, request: SignedRequest, number: int) -> SignedRequest:
    """Where the request names its key, let it name the wrong one, which did not sign it."""
    if preset.name.startswith("aws_sns"):
        document = json.loads(request.body) | {"SigningCertURL": certificate_url(number)}
        return replace(request, body=json.dumps(document).encode())
    if preset.name == "gcp_pubsub":
        header, rest = request.headers["authorization"].removeprefix("Bearer ").split(".", 1)
        named = json.loads(jwt.utils.base64url_decode(header)) | {"kid": f"key-{number}"}
        forged = jwt.utils.base64url_encode(json.dumps(named).encode()).decode()
        return with_headers(request, {"authorization": f"Bearer {forged}.{rest}"})
    return request


@every_preset
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_while_a_secret_is_rotated_both_are_accepted_and_afterwards_one(settled, preset, data):
    old, new, request, _ = data.draw(signed_requests(preset))
    renewed = preset.sign(new, draft(preset, data.draw(preset.bodies)), "after")
    both = preset.build([new, old])

    assert isinstance(settled(both, request), Verified)
    assert isinstance(settled(both, renewed), Verified)
    if preset.secrets is not KEY_PAIRS:
        assert isinstance(settled(preset.build([new]), request), Refused)


@every_preset
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_time_outside_the_tolerance_is_refused(settled, preset, data):
    secret, _, request, _ = data.draw(signed_requests(preset))
    verifier = preset.build([secret])
    tolerance = preset.tolerance or timedelta(days=3650)
    apart = data.draw(st.timedeltas(timedelta(0), tolerance))
    beyond = data.draw(st.timedeltas(timedelta(milliseconds=1), timedelta(days=100)))
    bounded_before = preset.name != "gcp_pubsub"  # its token's time before is the skew alone

    assert isinstance(settled(verifier, replace(request, now=NOW + apart)), Verified)
    if preset.tolerance and bounded_before:
        assert isinstance(settled(verifier, replace(request, now=NOW - apart)), Verified)
    if preset.tolerance:
        assert isinstance(settled(verifier, replace(request, now=NOW + tolerance + beyond)), Refused)
        assert isinstance(settled(verifier, replace(request, now=NOW - tolerance - beyond)), Refused)


@every_preset
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_a_missing_part_is_refused(settled, preset, data):
    secret, _, request, _ = data.draw(signed_requests(preset))
    verifier = preset.build([secret])

    for part in (preset.proof, *preset.needed):
        assert isinstance(settled(verifier, part.removed(request)), Refused)


@every_preset
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_only_post_carries_deliveries(settled, preset, data):
    secret, _, request, _ = data.draw(signed_requests(preset))
    verifier = preset.build([secret])

    for method in ("GET", "OPTIONS", "PUT"):
        assert isinstance(settled(verifier, replace(request, method=method)), Refused)


@pytest.mark.parametrize("days", [-301, 301])
def test_a_message_signed_by_a_certificate_that_is_not_valid_now_is_refused(settled, days):
    now = NOW + timedelta(days=days)
    request = replace(draft(PRESETS[0], b"text"), now=now)

    assert settled(sns([0]), sign_sns(0, request, "m")) == Refused("the certificate is not valid now")


HEADER_TEXT = (
    st.text(max_size=40)
    | st.text(st.characters(), max_size=4)
    | st.text(string.ascii_letters + "=,.;: 0123456789", max_size=40)
)
GARBAGE = HEADER_TEXT | st.builds(
    lambda word, text: word + text,
    st.sampled_from(
        ["sha256=", "v1=", "v1,", "v1a,", "v0=", "t=1,v1=", "Basic ", "Bearer ", "Bearer e30.e30."]
    ),
    HEADER_TEXT,
)


@every_preset
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_garbage_is_refused_and_never_raises(preset, data):
    secret, _, request, _ = data.draw(signed_requests(preset))
    names = {
        part.name for part in (preset.proof, *preset.needed, *preset.times) if isinstance(part, InHeader)
    } or {"x"}
    names |= {"content-type", "x-okta-verification-challenge", "x-twilio-webhooks-signature-settings"}
    garbage = data.draw(st.dictionaries(st.sampled_from(sorted(names)), GARBAGE, min_size=1))
    assume(garbage.get(preset.proof.name) != request.headers.get(preset.proof.name, ""))
    request = replace(
        with_headers(request, garbage),
        method=data.draw(st.sampled_from(["POST", "GET", "OPTIONS", "\udcff"])),
        body=data.draw(
            st.sampled_from([request.body, b"{", b"[" * 5000, b"\xff", b"null", b'{"event": [1]}'])
        ),
        query=data.draw(st.sampled_from(["", "token=%ff&token", "bodySHA256=%00", "&&=&;"])),
        url=data.draw(st.sampled_from([request.url, "http://[", "https://h:99999/", "\udcff", ""])),
    )

    outcome = preset.build([secret]).verify(request)

    assert isinstance(outcome, (Refused, KeysNeeded, Verified, Challenge))
    if preset.proof.name in garbage:
        assert isinstance(outcome, Refused)


@symmetric_presets
def test_neither_repr_nor_reasons_show_a_secret(preset):
    secret, other = (
        f"whsec_{base64.b64encode(key).decode()}" for key in (b"canary of port", b"another canary")
    )
    body = urlencode({"a": "b"}).encode() if preset.content_type.startswith(FORM) else b'{"a": "b"}'
    request = preset.sign(secret, draft(preset, body), "delivery")
    verifier = preset.build([other])

    outcome = verifier.verify(request)

    assert isinstance(outcome, Refused)
    shown = repr(verifier) + repr(outcome)
    for hidden in (secret, other, "canary of port", "another canary", secret[6:], other[6:]):
        assert hidden not in shown


@every_preset
def test_the_header_that_proves_is_masked(preset):
    secret = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 0)[preset.secrets is KEY_PAIRS]
    verifier = preset.build([secret])

    masked = {preset.proof.name} if isinstance(preset.proof, InHeader) else set()
    assert verifier.masked_headers == masked
    assert verifier.name.isidentifier()


@symmetric_presets
@pytest.mark.parametrize("missing", [None, "", b"", [], [""], ["whsec_QUJD", None]])
def test_no_secret_is_an_error_at_construction(preset, missing):
    with pytest.raises(ConfigurationError, match="empty"):
        preset.build(missing)


@symmetric_presets
def test_a_secret_that_is_read_late_fails_closed_until_it_is_there(settled, preset):
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    config: dict[str, str] = {}
    verifier = preset.build(lambda: config["secret"])
    body = urlencode({"a": "b"}).encode() if preset.content_type.startswith(FORM) else b'{"a": "b"}'
    request = preset.sign(secret, draft(preset, body), "delivery")

    assert isinstance(verifier.verify(request), Refused)
    with pytest.raises(ConfigurationError, match="secret"):
        presets.check_verifier(verifier)

    config["secret"] = secret
    presets.check_verifier(verifier)
    assert isinstance(settled(verifier, request), Verified)
