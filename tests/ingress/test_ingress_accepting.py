"""What is accepted, and what is stored of it."""

import asyncio
import io
import json
import re
from urllib.parse import urlencode

import pytest

from tidegate.core.events import WebhookEvent
from tidegate.ingress import DeliveryIdRule, PathPolicy


def test_accepted_event_is_stored_as_it_came(serve):
    body = '{"name": "Zoë",  "n": 1}'.encode()

    async def scenario(edge):
        reply = await edge.post(body, x_github_event="issues", x_github_delivery="d-1")
        assert reply.status == 202
        [event] = edge.engine.events
        assert reply.json == {"status": "accepted", "id": event.id}
        assert reply.headers["content-type"] == "application/json"
        assert int(reply.headers["content-length"]) == len(reply.body)
        assert event.path == "/webhook"
        assert event.body == body
        assert event.headers["X-GitHub-Event"] == "issues"
        assert event.delivery_id == "d-1"
        assert event.received_at == edge.clock.now()
        assert event.replay_of is None
        [signal] = edge.signals.accepted
        assert (signal.path, signal.event_id, signal.size_bytes) == ("/webhook", event.id, len(body))
        assert not signal.duplicate

    serve(scenario)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/vnd.github+json",
        "application/cloudevents+json; charset=UTF-8",
        "",
    ],
)
def test_json_types_and_no_type_are_accepted(serve, content_type):
    async def scenario(edge):
        line = f"Content-Type: {content_type}\r\n" if content_type else ""
        reply = await edge.exchange(
            f"POST /integration/webhook HTTP/1.1\r\nHost: h\r\n{line}Content-Length: 2\r\n\r\n{{}}".encode()
        )
        assert reply.status == 202

    serve(scenario)


def test_form_with_payload_is_accepted_and_processors_can_read_it(serve):
    form = urlencode({"payload": json.dumps({"issue": {"id": "é&=+"}}), "other": "1"}).encode()

    async def scenario(edge):
        reply = await edge.post(form, content_type="application/x-www-form-urlencoded")
        assert reply.status == 202
        [event] = edge.engine.events
        assert event.body == form
        seen = WebhookEvent(
            event.id, event.trace_id, event.path, event.headers, event.body, event.received_at
        )
        assert seen.payload == {"issue": {"id": "é&=+"}}

    serve(scenario)


def test_amazon_sns_sends_json_as_text(serve):
    async def scenario(edge):
        plain = await edge.post(b'{"Type": "Notification"}', content_type="text/plain; charset=UTF-8")
        assert plain.status == 415
        sns = await edge.post(
            b'{"Type": "Notification"}',
            content_type="text/plain; charset=UTF-8",
            x_amz_sns_message_type="Notification",
            x_amz_sns_message_id="m-1",
        )
        assert sns.status == 202
        assert edge.engine.events[0].delivery_id == "m-1"

    serve(scenario)


def test_same_delivery_is_a_duplicate_and_names_the_first(serve):
    async def scenario(edge):
        first = await edge.post(x_github_delivery="d-1")
        again = await edge.post(x_github_delivery="d-1")
        other = await edge.post(x_github_delivery="d-2")
        assert again.status == 202
        assert again.json == {"status": "duplicate", "id": first.json["id"]}
        assert other.json["status"] == "accepted"
        assert len(edge.engine.events) == 2
        assert [signal.duplicate for signal in edge.signals.accepted] == [False, True, False]

    serve(scenario)


def test_deliveries_without_an_id_are_never_duplicates(serve):
    async def scenario(edge):
        assert (await edge.post()).json["status"] == "accepted"
        assert (await edge.post()).json["status"] == "accepted"
        assert [event.delivery_id for event in edge.engine.events] == [None, None]

    serve(scenario)


def test_delivery_id_from_the_body_where_the_path_says_so(serve):
    policy = PathPolicy("/pagerduty", delivery_ids=DeliveryIdRule(body_paths=("event.id",)))

    async def scenario(edge):
        body = json.dumps({"event": {"id": "E1", "data": {}}}).encode()
        form = urlencode({"payload": body.decode()}).encode()
        await edge.post(body, "/pagerduty")
        again = await edge.post(form, "/pagerduty", content_type="application/x-www-form-urlencoded")
        assert again.json["status"] == "duplicate"
        assert edge.engine.events[0].delivery_id == "E1"

    serve(scenario, policies=(policy,))


def test_trace_of_the_sender_is_kept_and_a_new_one_made_otherwise(serve):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    async def scenario(edge):
        await edge.post(traceparent=f"00-{trace}-00f067aa0ba902b7-01")
        for wrong in ("", "garbage", f"ff-{trace}-00f067aa0ba902b7-01", f"00-{'0' * 32}-00f067aa0ba902b7-01"):
            await edge.post(traceparent=wrong)
        first, *others = [event.trace_id for event in edge.engine.events]
        assert first == trace
        assert all(re.fullmatch("[0-9a-f]{32}", other) for other in others)
        assert len({first, *others}) == 5

    serve(scenario)


def test_repeated_headers_are_joined_and_bytes_survive(serve):
    async def scenario(edge):
        reply = await edge.exchange(
            b"POST /integration/webhook HTTP/1.1\r\nHost: h\r\nX-Tag: a\r\nX-Tag: b\r\nX-Name: Zo\xeb\r\n"
            b"Content-Length: 2\r\n\r\n{}"
        )
        assert reply.status == 202
        [event] = edge.engine.events
        assert event.headers["x-tag"] == "a, b"
        assert event.headers["x-name"] == "Zo\xeb"

    serve(scenario)


def test_paths_with_parts_and_a_trailing_slash(serve):
    policies = (PathPolicy("/webhook"), PathPolicy("/team/a"))

    async def scenario(edge):
        assert (await edge.post(path="/team/a")).status == 202
        assert (await edge.post(path="/team/a/")).status == 202
        assert (await edge.post(path="/team")).status == 404
        assert [event.path for event in edge.engine.events] == ["/team/a", "/team/a"]

    serve(scenario, policies=policies)


def test_many_at_once_each_get_their_own_answer(serve):
    async def scenario(edge):
        replies = await asyncio.gather(*(edge.post(b'{"n": %d}' % n) for n in range(100)))
        assert {reply.status for reply in replies} == {202}
        bodies = {event.id: event.body for event in edge.engine.events}
        assert {reply.json["id"]: b'{"n": %d}' % n for n, reply in enumerate(replies)} == bodies

    serve(scenario)


def test_answers_carry_a_date(serve):
    async def scenario(edge):
        reply = await edge.post()
        assert reply.headers["date"].endswith("GMT")
        assert "server" not in reply.headers

    serve(scenario)


def test_ipv6_listener(serve):
    async def scenario(edge):
        assert edge.address.startswith("[::1]:")
        assert (await edge.post()).status == 202

    serve(scenario, host="::1")


def test_large_document_checked_in_a_thread(serve):
    large = json.dumps({"items": [{"id": n, "pad": "x" * 100} for n in range(15_000)]}).encode()

    async def scenario(edge):
        assert (await edge.post(io.BytesIO(large))).status == 202
        assert (await edge.post(io.BytesIO(large[:-1]))).status == 400
        assert [event.body for event in edge.engine.events] == [large]

    serve(scenario)
