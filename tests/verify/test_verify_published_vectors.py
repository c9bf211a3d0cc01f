"""Presets against the examples that the senders publish, byte for byte."""

from datetime import UTC, datetime

import pytest

from tidegate.core.verification import Refused, Verified
from tidegate.verify import (
    bitbucket_cloud,
    bitbucket_data_center,
    github,
    jira,
    mlflow,
    pagerduty,
    slack,
    standard_webhooks,
    svix,
    twilio,
)

PAGERDUTY_BODY = (
    b'{"event":{"id":"01BWDWL3NYY7LUFPZCC28QUCMK","event_type":"incident.priority_updated","resource_type":"incident",'
    b'"occurred_at":"2021-04-26T17:36:27.458Z","agent":{"html_url":"https://acme.pagerduty.com/users/PLH1HKV",'
    b'"id":"PLH1HKV","self":"https://api.pagerduty.com/users/PLH1HKV","summary":"Tenex Engineer",'
    b'"type":"user_reference"},"client":null,"data":{"id":"PGR0VU2","type":"incident",'
    b'"self":"https://api.pagerduty.com/incidents/PGR0VU2","html_url":"https://acme.pagerduty.com/incidents/PGR0VU2",'
    b'"number":2,"status":"triggered","title":"A little bump in the road","service":'
    b'{"html_url":"https://acme.pagerduty.com/services/PF9KMXH","id":"PF9KMXH",'
    b'"self":"https://api.pagerduty.com/services/PF9KMXH","summary":"API Service","type":"service_reference"},'
    b'"assignees":[{"html_url":"https://acme.pagerduty.com/users/PTUXL6G","id":"PTUXL6G",'
    b'"self":"https://api.pagerduty.com/users/PTUXL6G","summary":"User 123","type":"user_reference"}],'
    b'"escalation_policy":{"html_url":"https://acme.pagerduty.com/escalation_policies/PUS0KTE","id":"PUS0KTE",'
    b'"self":"https://api.pagerduty.com/escalation_policies/PUS0KTE","summary":"Default",'
    b'"type":"escalation_policy_reference"},"teams":[{"html_url":"https://acme.pagerduty.com/teams/PFCVPS0",'
    b'"id":"PFCVPS0","self":"https://api.pagerduty.com/teams/PFCVPS0","summary":"Engineering","type":"team_reference"}],'
    b'"priority":{"html_url":"https://acme.pagerduty.com/account/incident_priorities","id":"PSO75BM",'
    b'"self":"https://api.pagerduty.com/priorities/PSO75BM","summary":"P1","type":"priority_reference"},'
    b'"urgency":"high","conference_bridge":{"conference_number":1000,"conference_url":"https://example.com"},'
    b'"resolve_reason":null}}}'
)


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_github_documentation_example(make_request):
    request = make_request(
        b"Hello, World!",
        {
            "X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        },
    )

    outcome = github("It's a Secret to Everybody").verify(request)

    assert outcome == Verified("72d3162e-cc78-11e3-81ab-4c9367dc0958")


@pytest.mark.parametrize(
    ("preset", "id_header"),
    [
        (jira, "X-Atlassian-Webhook-Identifier"),
        (bitbucket_cloud, "X-Request-UUID"),
        (bitbucket_data_center, "X-Request-Id"),
    ],
)
def test_atlassian_documentation_example(make_request, preset, id_header):
    request = make_request(
        b"Hello World!",
        {
            "X-Hub-Signature": "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9",
            id_header: "delivery-7",
        },
    )

    assert preset("It's a Secret to Everybody").verify(request) == Verified("delivery-7")


def test_slack_documentation_example(make_request):
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        "X-Slack-Request-Timestamp": "1531420618",
    }
    verifier = slack("8f742231b10e8888abcd99yyyzzz85a5")

    assert verifier.verify(make_request(body, headers, now=at(1531420618))) == Verified(None)
    assert isinstance(verifier.verify(make_request(body, headers)), Refused)


@pytest.mark.parametrize(("preset", "prefix"), [(standard_webhooks, "webhook"), (svix, "svix")])
def test_standard_webhooks_reference_example(make_request, preset, prefix):
    request = make_request(
        b'{"test": 2432232314}',
        {
            f"{prefix}-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            f"{prefix}-timestamp": "1614265330",
            f"{prefix}-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
        now=at(1614265330),
    )

    outcome = preset("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").verify(request)

    assert outcome == Verified("msg_p5jXN8AQM9LWM0D4loKWxJek")


def test_pagerduty_client_library_example(make_request):
    signature = "v1=0c0b9495b893a39e70d1fea2fe11fbe0a825f88b9f67846f6cc07dd2bc5476cd"
    request = make_request(PAGERDUTY_BODY, {"X-PagerDuty-Signature": f"v1={'0' * 64},{signature}"})

    outcome = pagerduty("lDQHScfUeXUKaQRNF+8XIiDKZ7XX3itBAYzwU0TARw8lJqRnkKl2iB1anSb0Z+IK").verify(request)

    assert outcome == Verified("01BWDWL3NYY7LUFPZCC28QUCMK")


def test_mlflow_signature_made_by_mlflow_3_17(make_request):
    request = make_request(
        b'{"entity": "model_version", "action": "created", "data": {"name": "fraud", "version": "3"}}',
        {
            "X-MLflow-Delivery-Id": "6f1c1f2e-0d5b-4d0a-9c43-6f0a0b6a2f11",
            "X-MLflow-Timestamp": "1767225600",
            "X-MLflow-Signature": "v1,9FYiopK0Y8SNbJKYKq7jvhDjgWHAeqlpd4t4bzs4550=",
        },
        now=at(1767225660),
    )

    assert mlflow("s3cret-of-the-registry").verify(request) == Verified(
        "6f1c1f2e-0d5b-4d0a-9c43-6f0a0b6a2f11"
    )


def test_twilio_documentation_example(make_request):
    request = make_request(
        b"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212",
        {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Twilio-Signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
            "I-Twilio-Idempotency-Token": "d4f1",
        },
        url="https://mycompany.com/myapp.php?foo=1&bar=2",
    )

    assert twilio("12345").verify(request) == Verified("d4f1")
