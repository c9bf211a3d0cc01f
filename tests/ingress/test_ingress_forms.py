"""Ordinary forms, signed by the senders' own libraries, through the real listener to what a processor sees."""

from urllib.parse import urlencode

import pytest
from slack_sdk.signature import SignatureVerifier
from twilio.request_validator import RequestValidator

from tidegate.core.events import decode_payload
from tidegate.core.forms import FORM_TYPE
from tidegate.ingress import DeliveryIdRule, PathPolicy
from tidegate.verify import slack, twilio

SMS = {"MessageSid": "SM1", "From": "+15005550006", "Body": "Grüße & more", "NumMedia": "0", "Empty": ""}
COMMAND = {"command": "/deploy", "text": "now = then", "token": "old", "trigger_id": "1.2.3"}


def test_a_twilio_message_is_taken_in_and_its_fields_are_the_payload(serve):
    body = urlencode(SMS)
    signature = RequestValidator("t0ken").compute_signature(
        "https://hooks.example.org/integration/sms?a=1", SMS
    )

    async def scenario(edge):
        headers = {"content_type": FORM_TYPE, "x_twilio_signature": signature}
        assert (await edge.post(body, "/sms?a=1", **headers)).status == 202
        assert (await edge.post(body.replace("more", "less"), "/sms?a=1", **headers)).status == 401
        [event] = edge.engine.events
        assert decode_payload(event.body, event.headers["content-type"]) == SMS
        assert event.delivery_id == "SM1"
        assert event.headers["x-twilio-signature"] == "***"

    rule = DeliveryIdRule(headers=(), body_paths=("MessageSid",))
    policy = PathPolicy("/sms", (twilio("t0ken"),), rule)
    serve(scenario, policies=(policy,), public_url="https://hooks.example.org")


def test_a_slack_command_is_taken_in_and_its_fields_are_the_payload(serve):
    body = urlencode(COMMAND)

    async def scenario(edge):
        stamp = str(int(edge.clock.now().timestamp()))
        signature = SignatureVerifier("s1gning").generate_signature(timestamp=stamp, body=body)
        headers = {"x_slack_signature": signature, "x_slack_request_timestamp": stamp}
        assert (await edge.post(body, "/slack", content_type=FORM_TYPE, **headers)).status == 202
        [event] = edge.engine.events
        assert decode_payload(event.body, event.headers["content-type"]) == COMMAND

    serve(scenario, policies=(PathPolicy("/slack", (slack("s1gning"),)),))


@pytest.mark.parametrize(
    ("form", "payload"),
    [
        (b"a=1&a=2&b=3", {"a": ["1", "2"], "b": "3"}),
        (b"a", {"a": ""}),
        (b"a=%FF", {"a": "�"}),
        (b"Payload=%7B", {"Payload": "{"}),
        (b"payload=%7B%7D&a=1", {}),
    ],
)
def test_what_a_form_means(serve, form, payload):
    async def scenario(edge):
        assert (await edge.post(form, content_type=FORM_TYPE)).status == 202
        [event] = edge.engine.events
        assert decode_payload(event.body, event.headers["content-type"]) == payload

    serve(scenario)
