"""Presets against the code that the senders publish: what one signs the other accepts, in both directions."""

import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import slack_sdk.signature
import standardwebhooks
import stripe
import svix.webhooks
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from tidegate.core.verification import Verified
from tidegate.verify import (
    gitlab,
    signing,
    slack,
    standard_webhooks,
)
from tidegate.verify import (
    stripe as stripe_preset,
)
from tidegate.verify import (
    svix as svix_preset,
)
from tidegate.verify import twilio as twilio_preset

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
secrets = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1)
documents = st.dictionaries(st.text(), st.text() | st.integers() | st.none()).map(
    lambda document: json.dumps(document, ensure_ascii=False)
)


class StoppedClock(slack_sdk.signature.Clock):
    def now(self):
        return NOW.timestamp()


@given(secret=secrets, document=documents)
def test_stripe_library_signs_what_the_preset_verifies(make_request, secret, document):
    header = stripe.WebhookSignature.generate_signature_header(document, secret, int(NOW.timestamp()))
    request = make_request(document.encode(), {"Stripe-Signature": header})

    assert isinstance(stripe_preset(secret).verify(request), Verified)


@given(secret=secrets.filter(str.strip), document=documents)
def test_stripe_library_verifies_what_the_preset_signs(secret, document):
    signed = signing.sign(stripe_preset(secret), document.encode(), now=NOW, delivery_id="evt_1")

    header = signed.headers["stripe-signature"]
    assert stripe.WebhookSignature.verify_header(signed.body, header, secret)
    assert json.loads(signed.body)["id"] == "evt_1"


@given(secret=secrets, document=documents)
def test_slack_library_and_preset_agree(make_request, secret, document):
    theirs = slack_sdk.signature.SignatureVerifier(secret, StoppedClock())
    timestamp = str(int(NOW.timestamp()))
    header = theirs.generate_signature(timestamp=timestamp, body=document)
    headers = {"X-Slack-Signature": header, "X-Slack-Request-Timestamp": timestamp}

    assert isinstance(slack(secret).verify(make_request(document.encode(), headers)), Verified)

    signed = signing.sign(slack(secret), document.encode(), now=NOW, delivery_id="Ev1")
    assert theirs.is_valid_request(signed.body, dict(signed.headers))


@given(document=documents)
def test_standard_webhooks_library_and_presets_agree(make_request, document):
    now = datetime.now(UTC)  # the library reads the machine's clock
    signature = standardwebhooks.Webhook(WHSEC).sign("msg_1", now, document)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": f"v1,AAAA {signature}",
    }
    for preset in (standard_webhooks, gitlab):
        assert preset(WHSEC).verify(make_request(document.encode(), headers, now=now)) == Verified("msg_1")
        signed = signing.sign(preset(WHSEC), document.encode(), now=now, delivery_id="msg_2")
        standardwebhooks.Webhook(WHSEC).verify(signed.body, dict(signed.headers))


@given(document=documents)
def test_svix_library_and_preset_agree(make_request, document):
    now = datetime.now(UTC)
    headers = {
        "svix-id": "msg_1",
        "svix-timestamp": str(int(now.timestamp())),
        "svix-signature": svix.webhooks.Webhook(WHSEC).sign("msg_1", now, document),
    }

    assert svix_preset(WHSEC).verify(make_request(document.encode(), headers, now=now)) == Verified("msg_1")

    signed = signing.sign(svix_preset(WHSEC), document.encode(), now=now, delivery_id="msg_2")
    svix.webhooks.Webhook(WHSEC).verify(signed.body, dict(signed.headers))


form_text = st.text(st.characters(exclude_categories=["Cs"]))
form_names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(secret=secrets, parameters=st.dictionaries(form_names, form_text), port=st.sampled_from(["", ":443"]))
def test_twilio_library_and_preset_agree_on_forms(make_request, secret, parameters, port):
    url = f"https://hooks.example.com{port}/integration/sms?account=7"
    signature = RequestValidator(secret).compute_signature(url, parameters)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
    body = urlencode(parameters).encode()

    for seen in (url, "https://hooks.example.com/integration/sms?account=7"):
        assert isinstance(twilio_preset(secret).verify(make_request(body, headers, url=seen)), Verified)

    signed = signing.sign(
        twilio_preset(secret), body, now=NOW, delivery_id="t", url=url, content_type=headers["Content-Type"]
    )
    assert RequestValidator(secret).validate(signed.url, parameters, signed.headers["x-twilio-signature"])


@given(pairs=st.lists(st.tuples(st.sampled_from(["MediaUrl", "To", "a"]), st.sampled_from(["1", "2", ""]))))
def test_twilio_library_and_preset_agree_on_repeated_parameters(make_request, pairs):
    url = "https://hooks.example.com/integration/sms"
    signature = RequestValidator("token").compute_signature(url, MultiDict(pairs))
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}

    outcome = twilio_preset("token").verify(make_request(urlencode(pairs).encode(), headers, url=url))

    assert isinstance(outcome, Verified)


@given(secret=secrets, document=documents)
def test_twilio_library_and_preset_agree_on_json(make_request, secret, document):
    validator = RequestValidator(secret)
    url = f"https://hooks.example.com/integration/sms?bodySHA256={validator.compute_hash(document)}"
    headers = {"Content-Type": "application/json", "X-Twilio-Signature": validator.compute_signature(url, {})}

    assert isinstance(
        twilio_preset(secret).verify(make_request(document.encode(), headers, url=url)), Verified
    )

    signed = signing.sign(twilio_preset(secret), document.encode(), now=NOW, delivery_id="t")
    assert validator.validate(signed.url, signed.body.decode(), signed.headers["x-twilio-signature"])


@given(secret=secrets, document=documents)
def test_twilio_library_and_preset_agree_on_shared_keys(make_request, secret, document):
    validator = RequestValidator(secret)
    url = f"https://hooks.example.com/integration/sms?bodySHA256={validator.compute_hash(document)}"
    headers = {
        "Content-Type": "application/json",
        "X-Twilio-Signature": validator.compute_signature(url, {}, "HMAC_SHA256"),
        "X-Twilio-Webhooks-Signature-Settings": "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256",
    }

    assert isinstance(
        twilio_preset(secret).verify(make_request(document.encode(), headers, url=url)), Verified
    )
