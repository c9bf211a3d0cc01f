"""Header layouts and the rules for times, ids and body fields, at their edges."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.verification import Refused, Verified
from tidegate.verify import gitlab_token, pagerduty, query_token, signing, standard_webhooks, stripe
from tidegate.verify.body_fields import BodyField
from tidegate.verify.times import SignedTime, read_time, write_time

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_one_good_signature_in_a_list_is_enough(make_request):
    for preset, secret, header, before, after in [
        (pagerduty, "secret", "x-pagerduty-signature", "v1=00,v2=00, ", ",v1=ff"),
        (stripe, "secret", "stripe-signature", "v0=00,", ",v1=ff"),
        (standard_webhooks, WHSEC, "webhook-signature", "v1a,AAAA v1,AAAA ", " v2,AAAA"),
    ]:
        signed = signing.sign(preset(secret), b"{}", now=NOW, delivery_id="d")
        headers = dict(signed.headers)
        headers[header] = before + headers[header] + after

        assert preset(secret).verify(make_request(signed.body, headers)) == Verified("d")


@pytest.mark.parametrize(
    "value", ["t=1,t=1,v1=aa", "v1=aa", "t=,v1=aa", "t=1", "t=1,v1=", "", ",", "v1=aa;t=1"]
)
def test_stripe_header_without_exactly_one_time_and_a_signature(make_request, value):
    assert isinstance(stripe("secret").verify(make_request(b"{}", {"Stripe-Signature": value})), Refused)


def test_two_times_in_one_header_count_as_none(make_request):
    signed = signing.sign(stripe("secret"), b"{}", now=NOW, delivery_id="d")
    header = signed.headers["stripe-signature"]

    for doubled in (f"{header},t=1", f"t=1,{header}"):
        request = make_request(signed.body, {"Stripe-Signature": doubled})
        assert stripe("secret").verify(request) == Refused("the timestamp is missing")


def test_a_signed_id_cannot_be_left_out(make_request):
    headers = {"webhook-signature": "v1,AAAA", "webhook-timestamp": "1767225600"}

    assert standard_webhooks(WHSEC).verify(make_request(b"{}", headers)) == Refused(
        "the signed id is missing"
    )


@pytest.mark.parametrize(
    ("headers", "delivery_id"),
    [
        ({"Idempotency-Key": "a", "X-Gitlab-Event-UUID": "b"}, "a"),
        ({"X-Gitlab-Event-UUID": "b"}, None),
        ({}, None),
    ],
)
def test_gitlab_deliveries_are_told_apart_by_the_key_that_retries_keep(make_request, headers, delivery_id):
    request = make_request(headers={"X-Gitlab-Token": "token", **headers})

    assert gitlab_token("token").verify(request) == Verified(delivery_id)


@pytest.mark.parametrize(
    "query", ["token=a&token=secret", "token=secret&token=secret", "TOKEN=secret", "token"]
)
def test_a_token_in_the_url_counts_once_and_exactly(make_request, query):
    url = f"https://hooks.example.com/integration/webhook?{query}"

    assert isinstance(query_token("secret").verify(make_request(url=url)), Refused)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("", "seconds"),
        ("-1", "seconds"),
        ("+1", "seconds"),
        (" 1", "seconds"),
        ("1.5", "seconds"),
        ("1_0", "seconds"),
        ("１", "seconds"),
        ("9" * 16, "seconds"),
        ("9" * 5000, "milliseconds"),
        ("2026-01-01T00:00:00", "iso8601"),
        ("2026-01-01", "iso8601"),
        ("1767225600", "iso8601"),
        ("yesterday", "iso8601"),
    ],
)
def test_times_that_are_not_exactly_of_the_form_cannot_be_read(text, form):
    assert read_time(text, form) is None


@given(moment=st.timedeltas(timedelta(days=-20_000), timedelta(days=60_000)).map(lambda apart: NOW + apart))
def test_times_are_read_as_they_are_written(moment):
    for form, unit in [("seconds", 1), ("iso8601", 1), ("milliseconds", 0.001)]:
        text = write_time(moment, form)
        again = read_time(text, form)
        assert again is not None
        assert abs(moment - again) <= timedelta(seconds=unit)
        assert SignedTime(timedelta(seconds=2), form).is_fresh(text, moment)


@given(
    value=st.text() | st.integers(-(2**63), 2**63 - 1),
    rest=st.dictionaries(st.text(max_size=3), st.none() | st.text() | st.lists(st.integers())),
)
def test_a_field_is_read_where_it_was_written(value, rest):
    for path in ("id", "event.id", "a.b.c"):
        field = BodyField.at(path)
        body = field.written(json.dumps(rest).encode(), value)
        assert field.read(body) == value
        kept = json.loads(body)
        assert all(kept[name] == rest[name] for name in rest if name != path.partition(".")[0])


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'{"event": null}', b'{"event": []}', b'{"event": {"id": true}}', b"[" * 9999],
)
def test_a_field_that_is_not_there_is_none(body):
    assert BodyField.at("event.id").read(body) is None
