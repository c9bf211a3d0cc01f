"""Verification at the edge: who is refused, what is answered, and what is masked before it is stored."""

import asyncio
from dataclasses import dataclass, field

import pytest

from tidegate.core.networks import parse_networks
from tidegate.core.verification import Challenge, KeysNeeded, Refused, SignedRequest, Verified
from tidegate.ingress import IngressLimits, PathPolicy, ProxyTrust

BODY = b'{"a": 1}'
JSON = {"Content-Type": "application/json"}


@dataclass
class Scripted:
    """Says what it was made to say, and keeps what it was asked."""

    says: list[object]
    name: str = "scripted"
    masked_headers: frozenset[str] = frozenset()
    asked: list[SignedRequest] = field(default_factory=list)

    def verify(self, request):
        self.asked.append(request)
        return self.says.pop(0) if len(self.says) > 1 else self.says[0]


def test_signed_event_is_stored_with_its_secrets_masked(serve, signed):
    verifier = signed()

    async def scenario(edge):
        reply = await edge.post(
            BODY,
            x_signature=verifier.sign(BODY),
            authorization="Bearer t0ps3cret",
            cookie="sid=1",
            x_proxy_token="t0ps3cret",
            x_hub_signature="sha1=0",
            x_api_key="t0ps3cret",
            x_kind="k",
        )
        assert reply.status == 202
        [event] = edge.engine.events
        kept = {name for name, value in event.headers.items() if value != "***"}
        masked = {"x-signature", "authorization", "cookie", "x-proxy-token", "x-hub-signature", "x-api-key"}
        assert masked.isdisjoint(kept)
        assert event.headers["x-kind"] == "k"

    serve(scenario, policies=(PathPolicy("/webhook", verifiers=(verifier,)),))


def test_headers_of_an_unverified_path_are_kept_for_authenticate(serve):
    async def scenario(edge):
        await edge.post(BODY, authorization="Bearer abc")
        assert edge.engine.events[0].headers["authorization"] == "Bearer abc"

    serve(scenario)


@pytest.mark.parametrize(
    ("headers", "why"),
    [({}, "no signature"), ({"x_signature": "0" * 64}, "the signature does not match")],
)
def test_refused_is_401_without_detail_and_nothing_stored(serve, signed, headers, why):
    async def scenario(edge):
        reply = await edge.post(BODY, **headers)
        assert (reply.status, reply.json) == (401, {"error": "unauthorized"})
        assert edge.engine.events == []
        assert edge.signals.refused == [("/webhook", 401, f"unauthorized: x-signature: {why}")]

    serve(scenario, policies=(PathPolicy("/webhook", verifiers=(signed(),)),))


def test_unsigned_garbage_is_refused_as_unsigned_not_as_garbage(serve, signed):
    async def scenario(edge):
        assert (await edge.post(b"{")).status == 401
        assert (await edge.post(b"{", x_signature=signed().sign(b"{"))).status == 400

    serve(scenario, policies=(PathPolicy("/webhook", verifiers=(signed(),)),))


def test_all_distinct_verifiers_of_a_path_must_accept(serve, signed):
    first, second = signed(), signed("x-other", b"another")

    async def scenario(edge):
        both = await edge.post(BODY, x_signature=first.sign(BODY), x_other=second.sign(BODY))
        assert both.status == 202
        assert edge.engine.events[0].headers["x-other"] == "***"
        assert (await edge.post(BODY, x_signature=first.sign(BODY))).status == 401
        assert (await edge.post(BODY, x_other=second.sign(BODY))).status == 401
        assert len(edge.engine.events) == 1

    serve(scenario, policies=(PathPolicy("/webhook", verifiers=(first, second)),))


def test_delivery_id_of_the_scheme_comes_before_that_of_the_headers(serve):
    verifier = Scripted([Verified("signed-id")])

    async def scenario(edge):
        await edge.post(BODY, x_github_delivery="header-id")
        assert edge.engine.events[0].delivery_id == "signed-id"

    serve(scenario, policies=(PathPolicy("/webhook", verifiers=(Scripted([Verified()]), verifier)),))


def test_challenge_in_a_body_is_answered_as_it_is_and_stored_nowhere(serve):
    challenge = Challenge(200, "text/plain", b"3eZbrw1a", (("X-Extra", "1"),))

    async def scenario(edge):
        reply = await edge.post(b'{"type": "url_verification", "challenge": "3eZbrw1a"}')
        assert (reply.status, reply.body) == (200, b"3eZbrw1a")
        assert reply.headers["content-type"] == "text/plain"
        assert reply.headers["x-extra"] == "1"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert edge.engine.events == []

    serve(scenario, policies=(PathPolicy("/webhook", verifiers=(Scripted([challenge]),)),))


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_challenge_by_another_method(serve, method):
    verifier = Scripted([Challenge(200, "application/json", b'{"verification": "v"}')])

    async def scenario(edge):
        reply = await edge.request(method, "/webhook?x=1", headers={"X-Okta-Verification-Challenge": "v"})
        assert (reply.status, reply.json) == (200, {"verification": "v"})
        [asked] = verifier.asked
        assert (asked.method, asked.path, asked.query, asked.body) == (method, "/webhook", "x=1", b"")
        assert asked.headers["x-okta-verification-challenge"] == "v"

    serve(scenario, policies=(PathPolicy("/webhook", verifiers=(verifier,)),))


@pytest.mark.parametrize("verdict", [Refused("no"), Verified()])
def test_get_that_is_no_challenge_is_no_delivery_either(serve, verdict):
    async def scenario(edge):
        assert (await edge.request("GET", "/webhook")).status == 405
        assert (await edge.request("OPTIONS", "/webhook")).status == 200
        assert edge.engine.events == []

    serve(scenario, policies=(PathPolicy("/webhook", verifiers=(Scripted([verdict]),)),))


def test_keys_are_fetched_once_and_the_request_asked_again(serve):
    fetched: list[str] = []

    async def fetch():
        fetched.append("keys")

    verifier = Scripted([KeysNeeded(fetch), Verified("id")])

    async def scenario(edge):
        assert (await edge.post(BODY)).status == 202
        assert (await edge.post(BODY)).json["status"] == "duplicate"
        assert fetched == ["keys"]

    serve(scenario, policies=(PathPolicy("/webhook", verifiers=(verifier,)),))


def test_keys_that_cannot_be_fetched_ask_to_come_again(serve):
    async def fail():
        raise OSError("no route to host")

    async def hang():
        await asyncio.Event().wait()

    async def useless():
        pass

    async def scenario(edge):
        for fetch in (fail, hang, useless):
            verifier.says = [KeysNeeded(fetch)]
            reply = await edge.post(BODY)
            assert (reply.status, reply.json["error"]) == (503, "keys-unavailable")
            assert "retry-after" in reply.headers
        assert edge.engine.events == []

    verifier = Scripted([])
    serve(
        scenario,
        policies=(PathPolicy("/webhook", verifiers=(verifier,)),),
        limits=IngressLimits(keys_timeout_seconds=0.05),
    )


def test_verifier_that_breaks_lets_nobody_in(serve, caplog):
    @dataclass
    class Broken(Scripted):
        def verify(self, request):
            raise ZeroDivisionError

    async def scenario(edge):
        assert (await edge.post(BODY)).status == 500
        assert edge.engine.events == []

    serve(scenario, policies=(PathPolicy("/webhook", verifiers=(Broken([]),)),))
    assert "ZeroDivisionError" in caplog.text


def test_verifier_sees_the_request_as_the_sender_made_it(serve):
    verifier = Scripted([Verified()])

    async def scenario(edge):
        await edge.request("POST", "/webhook?b=%20&a=1", data=BODY, headers={"X-A": "1"} | JSON)
        [asked] = verifier.asked
        assert asked.method == "POST"
        assert asked.path == "/webhook"
        assert asked.body == BODY
        assert asked.headers["x-a"] == "1"
        assert asked.url == f"http://{edge.address}/integration/webhook?{asked.query}"
        assert asked.now == edge.clock.now()

    serve(scenario, policies=(PathPolicy("/webhook", verifiers=(verifier,)),))


def test_url_behind_a_trusted_proxy_and_with_a_public_url(serve):
    verifier = Scripted([Verified()])
    policies = (PathPolicy("/webhook", verifiers=(verifier,)),)
    said = {"x_forwarded_proto": "https", "x_forwarded_host": "hooks.example.org"}

    async def scenario(edge):
        await edge.post(BODY, **said)

    serve(scenario, policies=policies)
    assert verifier.asked[-1].url.startswith("http://127.0.0.1:")
    trust = ProxyTrust(parse_networks(["127.0.0.0/8"], "trusted_proxies"))
    serve(scenario, policies=policies, limits=IngressLimits(proxies=trust))
    assert verifier.asked[-1].url == "https://hooks.example.org/integration/webhook"
    serve(scenario, policies=policies, public_url="https://public.example.org/tide/")
    assert verifier.asked[-1].url == "https://public.example.org/tide/integration/webhook"


def test_network_list_of_a_path(serve):
    allowed = parse_networks(["127.0.0.2", "2001:db8::/32"], "allowed_networks")
    policies = (PathPolicy("/webhook", allowed_networks=allowed), PathPolicy("/open"))

    async def scenario(edge):
        reply = await edge.post(BODY)
        assert (reply.status, reply.json["error"]) == (403, "forbidden-network")
        assert (await edge.post(BODY, x_forwarded_for="127.0.0.2")).status == 403
        assert (await edge.post(BODY, "/open")).status == 202
        friend = await edge.wire("127.0.0.2")
        await friend.send(b"POST /integration/webhook HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")
        assert (await friend.reply()).status == 202

    serve(scenario, policies=policies)
