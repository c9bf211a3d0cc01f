"""One suite for every preset: what is signed is verified, and nothing else is."""

import base64
import json
import string
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.verify.presets import (
    FORM,
    KEY_PAIRS,
    PRESETS,
    InHeader,
    Preset,
    draft,
    flips,
    one_bit_away,
)
from tests.verify.private_keys import NOW, certificate_url, sign_sns, sns, with_headers
from tidegate import verify as presets
from tidegate.core.errors import ConfigurationError
from tidegate.core.verification import Challenge, KeysNeeded, Refused, SignedRequest, Verified

SYMMETRIC = [preset for preset in PRESETS if preset.secrets is not KEY_PAIRS]

symmetric_presets = pytest.mark.parametrize("preset", SYMMETRIC, ids=lambda preset: preset.name)
every_preset = pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
DELIVERY_IDS = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=12)


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

    changed = one_bit_away(preset, request)

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
        part.name for part in (preset.proof, *preset.needed, *preset.signed) if isinstance(part, InHeader)
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
