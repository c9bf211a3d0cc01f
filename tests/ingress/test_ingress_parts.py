"""The small rules by themselves: senders behind proxies, delivery ids, traces, JSON within bounds."""

import asyncio
import json
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.errors import ConfigurationError
from tidegate.core.events import MalformedPayloadError, decode_payload
from tidegate.core.forms import FORM_TYPE as FORM
from tidegate.core.networks import parse_networks
from tidegate.ingress import DEFAULT_HEADERS, DeliveryIdRule, IngressLimits, ProxyTrust
from tidegate.ingress.answers import Refusal, lines_of
from tidegate.ingress.bodies import BodyHold, BodyMemory, IncomingBody, read_body
from tidegate.ingress.deadlines import Deadline
from tidegate.ingress.delivery_ids import bounded_id
from tidegate.ingress.documents import check_document, document_of
from tidegate.ingress.senders import Sender, address_key, is_within, parse_address, sender_of
from tidegate.ingress.tracing import trace_id_of

TRUST = ProxyTrust(parse_networks(["10.0.0.0/8", "2001:db8:1::/48"], "trusted_proxies"))
RFC7239 = ProxyTrust(TRUST.networks, "forwarded")
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


# --- Senders ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "value", "address"),
    [
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("10.0.0.1", "10.1.1.1, 10.1.2.3", "10.1.1.1"),
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::9]:443", "2001:db8::9"),
        ("10.0.0.1", "2001:db8::9", "2001:db8::9"),
        ("2001:db8:1::5", "::ffff:203.0.113.9", "203.0.113.9"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, unknown", "10.0.0.1"),
        ("10.0.0.1", "<script>, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", ",,", "10.0.0.1"),
    ],
)
def test_x_forwarded_for(peer, value, address):
    assert sender_of(peer, {"x-forwarded-for": value}, TRUST).address == address


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("for=203.0.113.9", "203.0.113.9"),
        ('for="[2001:db8:cafe::17]:4711"; proto=https', "2001:db8:cafe::17"),
        ("for=6.6.6.6, For=203.0.113.9;by=10.0.0.2", "203.0.113.9"),
        ('for="6.6.6.6, for=203.0.113.9', "203.0.113.9"),
        ("for=_hidden", "10.0.0.1"),
        ("proto=https", "10.0.0.1"),
    ],
)
def test_forwarded(value, address):
    headers = {"forwarded": value, "x-forwarded-for": "6.6.6.6"}
    assert sender_of("10.0.0.1", headers, RFC7239).address == address


def test_nobody_is_trusted_by_default():
    assert sender_of("127.0.0.1", {"x-forwarded-for": "6.6.6.6"}, ProxyTrust()) == Sender("127.0.0.1")


@given(st.text())
def test_any_forwarded_text_yields_an_address(value):
    for trust in (TRUST, RFC7239):
        found = sender_of("10.0.0.1", {trust.header: value}, trust)
        assert parse_address(found.address) is not None


def test_limits_count_ipv6_by_site():
    assert address_key("2001:db8:1:2:3:4:5:6") == address_key("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert address_key("2001:db8:1:3::1") != address_key("2001:db8:1:2::1")
    assert address_key("::ffff:192.0.2.1") == address_key("192.0.2.1") == "192.0.2.1"
    assert address_key("fe80::1%eth0") == "fe80::/64"
    assert address_key("") == ""


def test_networks_are_read_and_wrong_ones_named():
    networks = parse_networks([" 192.0.2.0/24 ", "2001:db8::1"], "x")
    assert is_within(parse_address("192.0.2.200"), networks)
    assert is_within(parse_address("2001:db8::1"), networks)
    assert not is_within(parse_address("192.0.3.1"), networks)
    assert not is_within(None, networks)
    with pytest.raises(ConfigurationError, match=r"trusted_proxies: '192.0.2.1/24' is no network"):
        parse_networks(["192.0.2.1/24"], "trusted_proxies")


# --- Delivery ids -------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", DEFAULT_HEADERS)
def test_each_default_header_tells_deliveries_apart(header):
    assert DeliveryIdRule().delivery_id({header: " id-1 "}, b"{}") == "id-1"


@pytest.mark.parametrize(
    "header",
    ["x-request-id", "request-id", "x-gitlab-event-uuid", "x-gitlab-webhook-uuid", "x-hook-uuid", "ce-id"],
)
def test_headers_that_could_join_different_events_are_not_used(header):
    assert DeliveryIdRule().delivery_id({header: "same"}, b'{"id": "same"}') is None


def test_first_candidate_with_a_value_counts():
    rule = DeliveryIdRule(headers=("X-First", "X-Second"), body_paths=("event.id", "id"))
    body = b'{"id": 7, "event": {"id": "E"}}'
    assert rule.delivery_id({"x-first": "", "x-second": "s"}, body) == "s"
    assert rule.delivery_id({"x-first": " "}, body) == "E"
    assert rule.delivery_id({}, b'{"id": 7, "event": {"id": ""}}') == "7"
    assert rule.delivery_id({}, b'{"id": 7, "event": []}') == "7"
    assert rule.delivery_id({}, b'{"id": null, "event": null}') is None


@pytest.mark.parametrize(
    "body", [b'{"a": {"b": true}}', b'{"a": {"b": {}}}', b'{"a": {"b": 1.5}}', b"{}", b"["]
)
def test_only_texts_and_integers_are_ids(body):
    assert DeliveryIdRule((), ("a.b",)).delivery_id({}, body) is None


@pytest.mark.parametrize("path", ["", "a..b", ".a", "a.", 'a"b', "a\\b", "a\nb"])
def test_body_paths_that_cannot_be_one_are_refused(path):
    with pytest.raises(ConfigurationError, match="body path"):
        DeliveryIdRule(body_paths=(path,))


@given(
    st.lists(st.sampled_from(["id", "é x", "event", "$", "\U0001f600"]), min_size=1, max_size=4), json_values
)
def test_body_path_finds_what_a_full_parse_finds(keys, leaf):
    document = leaf
    for key in reversed(keys):
        document = {key: document, key + "x": 1}
    body = msgspec.json.encode(document)
    expected = str(leaf) if isinstance(leaf, str) or type(leaf) is int else ""
    assert DeliveryIdRule((), (".".join(keys),)).delivery_id({}, body) == bounded_id(expected)


@given(st.text())
def test_any_id_is_fit_to_store(text):
    found = bounded_id(text)
    if found is not None:
        assert 0 < len(found) <= 200
        assert found.isprintable()
        assert found == bounded_id(text)


def test_long_ids_stay_distinct():
    assert bounded_id("x" * 5_000) != bounded_id("x" * 5_001)
    assert bounded_id("a\x00b") != bounded_id("a\x00c")


# --- Traces -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("traceparent", "kept"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        (" 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00 ", True),
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-adds", True),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", False),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", False),
        (None, False),
    ],
)
def test_traceparent(traceparent, kept):
    assert (trace_id_of(traceparent) == "4bf92f3577b34da6a3ce929d0e0e4736") == kept


# --- Documents ----------------------------------------------------------------------------------------


@given(st.dictionaries(st.text(), json_values))
def test_every_json_object_is_accepted(payload):
    assert check_document(json.dumps(payload).encode(), IngressLimits()) is None
    assert check_document(json.dumps(payload, ensure_ascii=False).encode(), IngressLimits()) is None


@given(st.binary() | st.text().map(str.encode) | json_values.map(msgspec.json.encode))
def test_what_is_accepted_is_what_processors_can_parse(body):
    """Numbers beyond a double's range are the one exception (see below)."""
    try:
        decode_payload(body, "application/json")
        parsed = True
    except MalformedPayloadError as error:
        parsed = "out of range" in str(error)
    assert (check_document(body, IngressLimits()) is None) == parsed


def test_numbers_beyond_the_range_are_left_to_the_processors():
    """Finding them would take the full parse that the check avoids; the event ends as rejected, not lost."""
    assert check_document(b'{"a": 1e999}', IngressLimits()) is None
    with pytest.raises(MalformedPayloadError):
        decode_payload(b'{"a": 1e999}', "application/json")


@given(st.integers(1, 60), st.sampled_from([b"[%b]", b'{"k":%b}', b'[1,%b,"[{"]']))
def test_depth_is_counted_exactly(depth, wrap):
    inner = b"[]"
    for _ in range(depth - 2):
        inner = wrap % inner
    body = b'{"a":%b, "pad":"%b"}' % (inner, b"[" * 60) if depth > 1 else b'{"pad":"%b"}' % (b"[" * 60)
    assert check_document(body, IngressLimits(max_json_depth=depth)) is None
    if depth > 1:
        refusal = check_document(body, IngressLimits(max_json_depth=depth - 1))
        assert refusal is not None
        assert refusal.reason == "too-deep"


def test_last_of_a_repeated_name_counts():
    body = b'{"id": "first", "id": "last"}'
    assert check_document(body, IngressLimits()) is None
    assert DeliveryIdRule((), ("id",)).delivery_id({}, body) == "last"
    assert decode_payload(body, "application/json") == {"id": "last"}


@given(st.binary() | st.text().map(str.encode))
def test_any_form_is_a_document_or_a_refusal(body):
    assert isinstance(document_of(body, FORM, IngressLimits()), bytes | Refusal)


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1).filter(lambda pairs: ("", "") not in pairs))
def test_a_form_without_payload_is_an_object_of_its_fields(pairs):
    pairs = [pair for pair in pairs if pair[0] != "payload"] or [("a", "b")]
    found = document_of(urlencode(pairs).encode(), f"{FORM}; charset=utf-8", IngressLimits())
    assert isinstance(found, bytes)
    assert check_document(found, IngressLimits()) is None
    assert decode_payload(urlencode(pairs).encode(), FORM) == json.loads(found)
    fields = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    assert json.loads(found) == {name: v if len(v) > 1 else v[0] for name, v in fields.items()}


# --- Bodies in time -----------------------------------------------------------------------------------


class HandLoop(asyncio.SelectorEventLoop):
    """A loop whose time stands still until it is moved."""

    seconds = 100.0

    def time(self):
        return self.seconds


def body_in_time(limits, pieces):
    """Read a body of (seconds to wait, bytes) pieces on a loop whose time only these waits move."""
    with asyncio.Runner(loop_factory=HandLoop) as runner:
        loop = runner.get_loop()
        body = IncomingBody()

        async def send():
            for wait, data in pieces:
                await asyncio.sleep(0)  # time passes while it is waited for
                loop.seconds += wait
                for _ in range(3):
                    await asyncio.sleep(0)  # timers that are due fire between two turns
                body.add(data)
            body.end()

        async def read():
            sending = asyncio.create_task(send())
            with BodyHold(BodyMemory(1_000_000)) as hold:
                outcome = await read_body(body, hold, limits, 1_000_000)
            await sending
            return outcome

        return runner.run(read())


@pytest.mark.parametrize(
    ("pieces", "in_time"),
    [
        ([(9.9, b"x")], True),
        ([(10.1, b"x")], False),
        ([(0, b"x" * 100), (10.9, b"y")], True),  # a hundred bytes earned a second
        ([(0, b"x" * 100), (11.1, b"y")], False),
        ([(5, b"x" * 1_000), (5, b"x" * 1_000), (5, b"x" * 1_000), (5, b"y")], True),
        ([(0, b"x" * 100_000), (29.9, b"y")], True),
        ([(0, b"x" * 100_000), (30.1, b"y")], False),  # no number of bytes earns more than the whole time
    ],
)
def test_body_deadline_moves_with_progress_up_to_the_whole_time(pieces, in_time):
    limits = IngressLimits(body_grace_seconds=10, min_body_bytes_per_second=100, body_timeout_seconds=30)
    body = body_in_time(limits, pieces)
    if in_time:
        assert body == b"".join(data for _, data in pieces)
    else:
        assert isinstance(body, Refusal)
        assert (body.status, body.reason) == (408, "slow-body")


def test_a_body_that_was_taken_is_not_held_by_its_connection():
    body = IncomingBody()
    body.add(b"x")
    body.add(b"y")
    assert body.take() == b"xy"
    assert body.take() == b""


def test_memory_of_a_body_is_given_back():
    memory = BodyMemory(100_000)
    with BodyHold(memory) as first, BodyHold(memory) as second:
        assert first.grow_to(150_000)
        assert not second.grow_to(150_000)
        assert second.grow_to(60_000)
    with BodyHold(memory) as third:
        assert third.grow_to(160_000)
        assert third.grow_to(10)


# --- Deadlines ----------------------------------------------------------------------------------------


async def pass_to(loop, seconds):
    loop.seconds = seconds
    for _ in range(3):
        await asyncio.sleep(0)  # timers that are due fire between two turns


def in_hand_time(scenario):
    with asyncio.Runner(loop_factory=HandLoop) as runner:
        runner.run(scenario(runner.get_loop()))


def test_deadline_that_moves_on_passes_once_and_not_early():
    async def scenario(loop):
        passed, deadline = [], Deadline(loop)
        deadline.set(10, lambda: passed.append("first"))
        await pass_to(loop, 108)
        deadline.set(10, lambda: passed.append("second"))
        await pass_to(loop, 117)
        assert (passed, deadline.is_set) == ([], True)
        await pass_to(loop, 118)
        await pass_to(loop, 200)
        assert (passed, deadline.is_set) == (["second"], False)

    in_hand_time(scenario)


def test_deadline_may_come_nearer_and_be_cleared():
    async def scenario(loop):
        passed, deadline = [], Deadline(loop)
        deadline.set(75, lambda: passed.append("late"))
        deadline.set(2, lambda: passed.append("soon"))
        await pass_to(loop, 102)
        assert passed == ["soon"]
        deadline.set(5, lambda: passed.append("never"))
        deadline.clear()
        await pass_to(loop, 300)
        deadline.set(5, lambda: passed.append("closed"))
        deadline.close()
        await pass_to(loop, 400)
        assert passed == ["soon"]

    in_hand_time(scenario)


@pytest.mark.parametrize("pair", [(b"x", b"a\r\nset-cookie: b"), (b"x\n", b"a"), (b"x", b"a\0")])
def test_header_of_more_than_one_line_is_not_sent(pair):
    with pytest.raises(ValueError, match="more than one line"):
        lines_of([pair])
