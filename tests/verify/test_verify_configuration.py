"""Wrong configuration is refused with words that mend it, and never with the secret."""

import sys
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.core.errors import ConfigurationError
from tidegate.core.verification import Refused, Verified
from tidegate.verify import (
    aws_sns,
    basic,
    check_verifier,
    gcp_pubsub,
    github,
    hmac_signature,
    query_token,
    signing,
    slack,
    sns_subscribe_url,
    standard_webhooks,
    stripe,
    twilio,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOPIC = "arn:aws:sns:eu-central-1:123456789012:changes"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"signed": "{timestamp}.{body}"}, "no header holds one"),
        ({"signed": "{id}.{body}"}, "no header holds one"),
        ({"signed": "{timestamp}", "timestamp_header": "X-Time"}, "leaves out"),
        ({"signed": "{body}{secret}"}, "names secret"),
        ({"signed": "{body"}, "cannot be read"),
        ({"timestamp_header": "X-Time"}, "not part of the signed string"),
        ({"signed": "{timestamp}.{body}", "timestamp_prefix": "t="}, "name the separator"),
        (
            {"signed": "{timestamp}.{body}", "timestamp_header": "X-Time", "tolerance": timedelta(0)},
            "positive timedelta",
        ),
        ({"delivery_id_path": "event..id"}, "no path"),
        ({"digest": "md5"}, "may be sha1, sha256, sha512"),
        ({"encoding": "base64url"}, "may be hex, base64"),
        ({"timestamp_format": "s"}, "may be seconds, milliseconds, iso8601"),
    ],
)
def test_parts_that_do_not_fit_together(options, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        hmac_signature("X-Signature", "secret", **options)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "empty"),
        (
            {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "public_key": "whpk_AAAA"},
            "a secret or a public key",
        ),
        ({"secret": "whsec_not base64!"}, "not base64"),
        ({"secret": "whsec_"}, "nothing follows"),
        ({"public_key": "whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "32 bytes, this one 24"),
        ({"public_key": "whpk_?"}, "not base64"),
    ],
)
def test_standard_webhooks_keys_that_cannot_be_used(arguments, complaint):
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        standard_webhooks(**arguments)

    assert "MfKQ9r8" not in str(caught.value)


def test_standard_webhooks_secret_may_lack_prefix_and_padding_or_be_bytes():
    spellings = ["whsec_c2VjcmV0LWtleQ==", "c2VjcmV0LWtleQ==", "whsec_c2VjcmV0LWtleQ", b"secret-key"]
    signed = signing.sign(standard_webhooks(spellings[0]), b"{}", now=NOW, delivery_id="m")

    for spelling in spellings:
        assert standard_webhooks(spelling).verify(signed) == Verified("m")


def test_a_callable_that_fails_is_named_and_its_words_are_not_quoted():
    def broken() -> str:
        raise RuntimeError("connection to vault with s3cret-token failed")

    verifier = github(broken)
    with pytest.raises(ConfigurationError, match=r"github\(secret=…\).*RuntimeError") as caught:
        check_verifier(verifier)

    assert "s3cret-token" not in str(caught.value)


def test_a_setting_that_is_missing_is_named():
    config: dict[str, str] = {}
    with pytest.raises(ConfigurationError, match="github_secret"):
        check_verifier(github(lambda: config["github_secret"]))
    with pytest.raises(ConfigurationError, match="gave nothing"):
        check_verifier(github(lambda: config.get("github_secret")))


def test_the_old_secret_may_be_gone_after_the_rotation():
    config = {"secret": "new"}
    verifier = github([lambda: config["secret"], lambda: config.get("old_secret")])

    check_verifier(verifier)


def test_a_secret_is_read_once():
    reads: list[int] = []

    def read() -> str:
        reads.append(1)
        return "secret"

    verifier = github(read)
    assert reads == []
    request = signing.sign(github("secret"), b"{}", now=NOW, delivery_id="d")
    for _ in range(3):
        assert isinstance(verifier.verify(request), Verified)
    assert reads == [1]


def test_a_line_break_after_a_secret_is_pointed_out():
    with pytest.raises(ConfigurationError, match="line break") as caught:
        github("s3cret\n")
    assert "s3cret" not in str(caught.value)

    assert isinstance(
        github(b"binary key\n").verify(signing.sign(github(b"binary key\n"), b"", now=NOW, delivery_id="d")),
        Verified,
    )


def test_a_user_name_with_a_colon_cannot_be_used():
    with pytest.raises(ConfigurationError, match="colon"):
        basic("a:b", "password")


def test_basic_accepts_late_user_names_and_text_outside_ascii(make_request):
    config = {"user": "jörg", "password": "pâté"}
    verifier = basic(lambda: config["user"], lambda: config["password"])

    assert isinstance(
        verifier.verify(make_request(headers={"Authorization": "basic asO2cmc6cMOidMOp"})), Verified
    )
    assert isinstance(
        verifier.verify(make_request(headers={"Authorization": "Bearer asO2cmc6cMOidMOp"})), Refused
    )


@pytest.mark.parametrize(
    ("module", "build"),
    [
        ("cryptography.x509", lambda: aws_sns(TOPIC)),
        ("jwt", lambda: gcp_pubsub("a", "b")),
        (
            "cryptography.hazmat.primitives.asymmetric.ed25519",
            lambda: standard_webhooks(public_key="whpk_" + "A" * 43 + "="),
        ),
    ],
)
def test_a_missing_optional_package_is_named_at_construction(monkeypatch, module, build):
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ConfigurationError, match=r"tidegate\[verify\]"):
        build()


def test_shared_secrets_need_no_optional_package(monkeypatch, make_request):
    for module in ("cryptography", "cryptography.x509", "jwt"):
        monkeypatch.setitem(sys.modules, module, None)

    signed = signing.sign(slack("secret"), b"{}", now=NOW, delivery_id="Ev1")
    assert slack("secret").verify(signed) == Verified("Ev1")


def test_senders_with_keys_of_their_own_cannot_be_signed_for():
    for verifier in (
        aws_sns(TOPIC),
        gcp_pubsub("a", "b"),
        standard_webhooks(public_key="whpk_" + "A" * 43 + "="),
    ):
        with pytest.raises(ConfigurationError, match="only the sender"):
            signing.sign(verifier, b"{}", now=NOW, delivery_id="d")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
def test_a_body_that_cannot_hold_the_id_cannot_be_signed(body):
    with pytest.raises(ConfigurationError, match="JSON object"):
        signing.sign(stripe("secret"), body, now=NOW, delivery_id="evt_1")


def test_twilio_refuses_a_body_that_nothing_vouches_for(make_request):
    verifier = twilio("token")
    signed_without_body = signing.sign(
        verifier, b"", now=NOW, delivery_id="t", content_type="application/x-www-form-urlencoded"
    )
    signature = signed_without_body.headers["x-twilio-signature"]
    headers = {"Content-Type": "application/json", "X-Twilio-Signature": signature}

    outcome = verifier.verify(make_request(b'{"a": 1}', headers, url=signed_without_body.url))

    assert outcome == Refused("the body is not covered by the signature")


def test_a_signed_url_keeps_the_query_that_it_had():
    url = "https://hooks.example.com/integration/webhook?account=7"
    for verifier, added in ((query_token("s&t"), "token=s%26t"), (twilio("token"), "bodySHA256=")):
        signed = signing.sign(verifier, b"{}", now=NOW, delivery_id="d", url=url)

        assert signed.url.startswith(f"{url}&{added}")
        assert signed.url == f"https://hooks.example.com/integration/webhook?{signed.query}"
        assert isinstance(verifier.verify(signed), Verified)


def test_twilio_behind_a_proxy_that_rewrites_the_url(make_request):
    public = "https://public.example.com/hooks/sms"
    form = "application/x-www-form-urlencoded"
    signed = signing.sign(
        twilio("token"), b"Body=hi", now=NOW, delivery_id="t", url=f"{public}?a=1", content_type=form
    )
    inside = make_request(signed.body, signed.headers, url="http://10.0.0.7:8000/integration/sms?a=1")

    assert isinstance(twilio("token").verify(inside), Refused)
    assert twilio("token", public_url=public).verify(inside) == Verified("t")


def test_an_empty_delivery_id_is_none():
    signed = signing.sign(github("secret"), b"{}", now=NOW, delivery_id="")

    assert github("secret").verify(signed) == Verified(None)


@pytest.mark.parametrize(
    ("payload", "url"),
    [
        (
            {
                "Type": "SubscriptionConfirmation",
                "SubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=1",
            },
            "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=1",
        ),
        ({"Type": "Notification", "SubscribeURL": "https://sns.us-east-1.amazonaws.com/?a"}, None),
        ({"Type": "SubscriptionConfirmation", "SubscribeURL": "https://evil.example/?a"}, None),
        ({"Type": "SubscriptionConfirmation", "SubscribeURL": ["x"]}, None),
        ({"Type": "SubscriptionConfirmation"}, None),
        ({}, None),
    ],
)
def test_the_subscription_to_confirm_is_on_sns(payload, url):
    assert sns_subscribe_url(payload) == url
