"""Keys that are fetched: when, how often, from where, and what an outage of their host does."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tidegate.core.errors import ConfigurationError, UnavailableError
from tidegate.core.verification import KeysNeeded, Refused
from tidegate.verify import aws_sns, gcp_pubsub
from tidegate.verify.download import MAX_BYTES, download
from tidegate.verify.public_keys import KeyCache

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
TOPIC = "arn:aws:sns:eu-central-1:123456789012:changes"
SNS = "https://sns.eu-central-1.amazonaws.com"


@dataclass
class Host:
    """Serves `document`, or fails; counts how often it was asked."""

    document: str | None = "key"
    asked: list[str] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    answering: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.answering.set()

    async def load(self, address: str) -> str:
        self.asked.append(address)
        self.reached.set()
        await self.answering.wait()
        if self.document is None:
            raise UnavailableError("the host is out")
        return f"{self.document} of {address}"


def needed(outcome: object) -> Callable[[], Awaitable[None]]:
    assert isinstance(outcome, KeysNeeded)
    return outcome.fetch


def test_many_requests_at_once_cost_one_fetch():
    async def scenario() -> None:
        host = Host()
        host.answering.clear()
        cache = KeyCache(host.load)
        arrivals = [NOW + timedelta(milliseconds=late) for late in range(50)]
        fetches = [needed(cache.find("a", now, DAY)) for now in arrivals]

        waiting = asyncio.gather(*(fetch() for fetch in fetches))
        await host.reached.wait()
        host.answering.set()
        await waiting

        assert host.asked == ["a"]
        assert cache.find("a", NOW + timedelta(hours=23), DAY) == "key of a"

    asyncio.run(scenario())


def test_a_failed_address_is_left_alone_for_a_while():
    async def scenario() -> None:
        host = Host(document=None)
        cache = KeyCache(host.load, pause=timedelta(seconds=30))

        for late in (0, 1, 29):
            with pytest.raises(UnavailableError):
                await needed(cache.find("a", NOW + timedelta(seconds=late), DAY))()
        assert host.asked == ["a"]

        host.document = "key"
        await needed(cache.find("a", NOW + timedelta(seconds=30), DAY))()
        assert cache.find("a", NOW + timedelta(seconds=30), DAY) == "key of a"

    asyncio.run(scenario())


def test_an_old_key_stays_in_use_while_its_host_is_out():
    async def scenario() -> None:
        host = Host()
        cache = KeyCache(host.load)
        await needed(cache.find("a", NOW, DAY))()
        host.document = None

        await needed(cache.find("a", NOW + DAY, DAY))()

        assert cache.find("a", NOW + DAY, DAY) == "key of a"
        assert len(host.asked) == 2

    asyncio.run(scenario())


def test_the_cache_is_bounded_for_keys_and_for_failures():
    async def scenario() -> None:
        host = Host()
        cache = KeyCache(host.load, limit=3)
        for name in "abcd":
            await needed(cache.find(name, NOW, DAY))()
        assert isinstance(cache.find("a", NOW, DAY), KeysNeeded)
        assert cache.find("d", NOW, DAY) == "key of d"

        host.document = None
        for name in ("1", "2", "3", "4", "1"):
            with pytest.raises(UnavailableError):
                await needed(cache.find(name, NOW, DAY))()
        assert host.asked[-2:] == ["4", "1"]  # the oldest failure was forgotten, so it is asked again

    asyncio.run(scenario())


def test_a_cancelled_fetch_does_not_hold_up_the_next():
    async def scenario() -> None:
        host = Host()
        host.answering.clear()
        cache = KeyCache(host.load)
        task = asyncio.ensure_future(needed(cache.find("a", NOW, DAY))())
        await host.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        host.answering.set()
        await needed(cache.find("a", NOW, DAY))()
        assert cache.find("a", NOW, DAY) == "key of a"

    asyncio.run(scenario())


# --- The download -------------------------------------------------------------------------------------------


async def answers(request: web.Request) -> web.Response:
    match request.path:
        case "/keys":
            assert "authorization" not in request.headers
            return web.Response(body=b"k" * MAX_BYTES)
        case "/large":
            return web.Response(body=b"k" * (MAX_BYTES + 1))
        case "/moved":
            raise web.HTTPFound("/keys")
        case _:
            raise web.HTTPNotFound


def test_download_takes_a_bounded_200_and_nothing_else():
    async def scenario() -> None:
        application = web.Application()
        application.router.add_get("/{name}", answers)
        async with TestServer(application) as server:
            assert len(await download(str(server.make_url("/keys")))) == MAX_BYTES
            for path, complaint in [
                ("/large", "more than"),
                ("/moved", "answered 302"),
                ("/none", "answered 404"),
            ]:
                with pytest.raises(UnavailableError, match=complaint):
                    await download(str(server.make_url(path)))
            gone = str(server.make_url("/keys"))
        with pytest.raises(UnavailableError, match="cannot be fetched"):
            await download(gone)

    asyncio.run(scenario())


# --- Amazon SNS ---------------------------------------------------------------------------------------------


def sns_body(**changes: object) -> bytes:
    message = {
        "Type": "Notification",
        "MessageId": "m1",
        "TopicArn": TOPIC,
        "Message": "{}",
        "Timestamp": "2026-01-01T00:00:00.000Z",
        "SignatureVersion": "2",
        "Signature": "c2lnbmF0dXJl",
        "SigningCertURL": f"{SNS}/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
    }
    return json.dumps(message | changes).encode()


async def never_asked(url: str) -> bytes:
    raise AssertionError(f"asked for {url}")


@pytest.mark.parametrize(
    "address",
    [
        "http://sns.eu-central-1.amazonaws.com/SimpleNotificationService-01.pem",
        "https://sns.eu-central-1.amazonaws.com.evil.example/SimpleNotificationService-01.pem",
        "https://evil.example/sns.eu-central-1.amazonaws.com/SimpleNotificationService-01.pem",
        "https://sns.eu-central-1.amazonaws.com@evil.example/SimpleNotificationService-01.pem",
        "https://sns.eu-central-1.amazonaws.com:8443/SimpleNotificationService-01.pem",
        "https://sns.s3.amazonaws.com/SimpleNotificationService-01.pem",
        "https://sns.s3-eu-central-1.amazonaws.com/SimpleNotificationService-01.pem",
        "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-01.pem?x=/.pem",
        "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-01.pem\n",
        "https://sns.eu-central-1.amazonaws.com/../SimpleNotificationService-01.pem",
        "https://sqs.eu-central-1.amazonaws.com/SimpleNotificationService-01.pem",
        "",
    ],
)
def test_sns_fetches_certificates_from_sns_alone(make_request, address):
    verifier = aws_sns(TOPIC, download=never_asked)

    assert isinstance(verifier.verify(make_request(sns_body(SigningCertURL=address))), Refused)


@pytest.mark.parametrize(
    "region", ["us-east-1", "ap-southeast-2", "us-gov-west-1", "mx-central-1", "cn-north-1", "il-central-1"]
)
def test_sns_certificates_of_every_region_are_fetched(make_request, region):
    host = f"sns.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
    address = f"https://{host}/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"

    outcome = aws_sns(TOPIC, download=never_asked).verify(make_request(sns_body(SigningCertURL=address)))

    assert isinstance(outcome, KeysNeeded)


@pytest.mark.parametrize(
    "changes",
    [
        {"TopicArn": "arn:aws:sns:eu-central-1:666666666666:changes"},
        {"Timestamp": "2025-12-31T21:59:59.000Z"},
        {"Timestamp": "2026-01-01T00:00:00"},
        {"SignatureVersion": "3"},
        {"Type": "Greeting"},
        {"Type": "SubscriptionConfirmation"},
        {"Message": None},
        {"Message": 7},
    ],
)
def test_sns_fetches_nothing_for_a_message_that_fails_anyway(make_request, changes):
    verifier = aws_sns([TOPIC], download=never_asked)

    assert isinstance(verifier.verify(make_request(sns_body(**changes))), Refused)


def test_sns_can_insist_on_sha256(make_request):
    verifier = aws_sns(TOPIC, signature_versions=("2",), download=never_asked)

    outcome = verifier.verify(make_request(sns_body(SignatureVersion="1")))

    assert outcome == Refused("the signature version is not accepted")


@pytest.mark.parametrize("document", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_sns_certificate_that_is_none_is_an_outage_not_a_refusal(make_request, document):
    async def serve(url: str) -> bytes:
        return document

    outcome = aws_sns(TOPIC, download=serve).verify(make_request(sns_body()))

    with pytest.raises(ValueError, match=r"."):
        asyncio.run(fetched(outcome))


async def fetched(outcome: object) -> None:
    await needed(outcome)()


@pytest.mark.parametrize("topics", ["", [], ["changes"], [TOPIC, ""]])
def test_sns_needs_its_topics(topics):
    with pytest.raises(ConfigurationError, match="topic_arn"):
        aws_sns(topics)


# --- Pub/Sub ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("audience", "account"), [("", "a"), ("a", ""), ([], "a"), ("a", [])])
def test_pubsub_needs_audience_and_account(audience, account):
    with pytest.raises(ConfigurationError, match="audience"):
        gcp_pubsub(audience, account)


@pytest.mark.parametrize("document", [b"", b"[]", b'{"keys": []}', b'{"keys": [{"kty": "what"}]}', b"{}"])
def test_pubsub_keys_that_are_none_are_an_outage_not_a_refusal(make_request, document):
    async def serve(url: str) -> bytes:
        return document

    token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.e30.AAAA"
    request = make_request(b"{}", {"Authorization": f"Bearer {token}"})
    outcome = gcp_pubsub("a", "b", download=serve).verify(request)

    with pytest.raises(UnavailableError, match="no set of keys"):
        asyncio.run(fetched(outcome))
