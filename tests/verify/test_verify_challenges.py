"""Senders that ask the endpoint to prove itself before they send anything."""

import json
from datetime import UTC, datetime

import pytest

from tidegate.core.verification import Challenge, Refused, Verified
from tidegate.verify import okta, signing, slack

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_slack_url_verification_is_answered_with_the_challenge():
    body = b'{"token": "x", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P", "type": "url_verification"}'
    verifier = slack("signing-secret")

    outcome = verifier.verify(signing.sign(verifier, body, now=NOW, delivery_id="Ev0"))

    assert outcome == Challenge(
        200, "text/plain; charset=utf-8", b"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"
    )


def test_slack_url_verification_without_a_signature_is_refused(make_request):
    body = b'{"challenge": "anything", "type": "url_verification"}'

    assert isinstance(slack("signing-secret").verify(make_request(body)), Refused)


def test_an_ordinary_slack_event_is_no_challenge():
    body = b'{"type": "event_callback", "event_id": "Ev1", "challenge": "x"}'
    verifier = slack("signing-secret")

    assert verifier.verify(signing.sign(verifier, body, now=NOW, delivery_id="Ev1")) == Verified("Ev1")


def test_okta_one_time_verification_is_answered_as_json(make_request):
    headers = {"Authorization": "hook-secret", "X-Okta-Verification-Challenge": 'Me_rShK8JHs"<b>'}
    request = make_request(b"", headers, method="GET")

    outcome = okta("hook-secret").verify(request)

    assert isinstance(outcome, Challenge)
    assert (outcome.status, outcome.content_type) == (200, "application/json")
    assert json.loads(outcome.body) == {"verification": 'Me_rShK8JHs"<b>'}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "guess"}])
def test_okta_challenge_without_the_secret_is_refused(make_request, headers):
    request = make_request(b"", {**headers, "X-Okta-Verification-Challenge": "echo me"}, method="GET")

    assert isinstance(okta("hook-secret").verify(request), Refused)


def test_okta_challenge_header_on_a_delivery_does_not_swallow_it(make_request):
    headers = {"X-Hook-Key": "hook-secret", "X-Okta-Verification-Challenge": "echo me"}

    outcome = okta("hook-secret", header="X-Hook-Key").verify(make_request(b'{"eventId": "e1"}', headers))

    assert outcome == Verified("e1")
