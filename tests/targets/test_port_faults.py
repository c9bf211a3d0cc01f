"""The Port target under faults: what is an outage, what is a refusal, and what heals by itself."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from tidegate.core.entities import Entity, EntityRef
from tidegate.core.errors import TargetUnavailableError
from tidegate.core.ports import Applied, Change, Delete, Refused, Upsert
from tidegate.core.resources import TargetOptions
from tidegate.targets.port import PortTarget
from tidegate.testing.port_stub import PortStub
from tidegate.testing.target_suite_session import BLUEPRINTS, service

Scenario = Callable[[PortStub, PortTarget], Awaitable[None]]


def target_of(stub: PortStub, **other: Any) -> PortTarget:
    arguments: dict[str, Any] = {
        "client_id": stub.client_id,
        "client_secret": stub.client_secret,
        "integration_identifier": "main",
        "integration_type": "mlflow",
        "options": TargetOptions(),
        **other,
    }
    return PortTarget(arguments.pop("base_url", None) or stub.url, **arguments)


def with_port(scenario: Scenario, stub: PortStub | None = None, **other: Any) -> None:
    async def run() -> None:
        async with stub or PortStub() as running:
            for blueprint in BLUEPRINTS:
                running.add_blueprint(dict(blueprint))
            target = target_of(running, **other)
            try:
                await scenario(running, target)
            finally:
                await target.close()

    asyncio.run(run())


def upserts(*identifiers: str, **fields: Any) -> list[Change]:
    return [Upsert(service(identifier, **fields), 1) for identifier in identifiers]


async def unavailable(target: PortTarget, *identifiers: str) -> TargetUnavailableError:
    with pytest.raises(TargetUnavailableError) as raised:
        await target.apply(upserts(*identifiers))
    return raised.value


@pytest.mark.parametrize("status", [403, 429, 502, 503, 504])
def test_an_outage_raises_and_the_same_changes_work_later(status: int) -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        stub.fail_next(status, path="bulk")
        error = await unavailable(target, "a", "b")
        assert str(status) in str(error)
        assert await target.apply(upserts("a", "b")) == [Applied(), Applied()]

    with_port(scenario)


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("7", 7), ("0.5", 0.5), ("soon", None)],
    ids=["seconds", "fraction", "nonsense"],
)
def test_retry_after_is_handed_on(retry_after: str, seconds: float | None) -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        stub.fail_next(429, path="bulk", retry_after=retry_after)
        assert (await unavailable(target, "a")).retry_after_seconds == seconds

    with_port(scenario)


def test_a_date_to_retry_after_is_handed_on_as_what_is_left_until_then() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        until = (datetime.now(UTC) + timedelta(minutes=30)).replace(microsecond=0)
        stub.fail_next(429, path="bulk", retry_after=format_datetime(until, usegmt=True))
        asked_at = datetime.now(UTC)
        waits = (await unavailable(target, "a")).retry_after_seconds
        answered_at = datetime.now(UTC)
        assert waits is not None
        # a date has no fractions, so whole seconds are waited
        assert (until - answered_at).total_seconds() <= waits < (until - asked_at).total_seconds() + 1

    with_port(scenario)


def test_the_reset_of_a_rate_limit_is_handed_on() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        stub.slow_down(0.001)
        stub.fail_next(429, path="bulk", headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "42"})
        assert (await unavailable(target, "a")).retry_after_seconds == 42

    with_port(scenario)


def test_the_longest_wait_counts() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        stub.fail_next(503, path="service/entities/bulk")
        stub.fail_next(429, path="team/entities/bulk", retry_after=30)
        with pytest.raises(TargetUnavailableError) as raised:
            await target.apply([*upserts("a"), Upsert(Entity("t", "team"), 1)])
        assert raised.value.retry_after_seconds == 30

    with_port(scenario)


def test_a_reset_connection_and_a_lost_answer() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        stub.reset_next(2, path="bulk")  # the connection that was open, and the new one that is tried at once
        await unavailable(target, "a")
        assert not stub.entities
        stub.lose_answer(path="bulk")
        await unavailable(target, "a")
        assert EntityRef("service", "a") in stub.entities
        assert await target.apply(upserts("a")) == [Applied()]

    with_port(scenario)


def test_a_connection_that_died_meanwhile_is_replaced_at_once() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        assert await target.apply(upserts("a")) == [Applied()]
        stub.reset_next(path="bulk")
        assert await target.apply(upserts("b")) == [Applied()]

    with_port(scenario)


def test_a_hanging_port_is_given_up() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        stub.hang_next(path="bulk")
        assert "timed out" in str(await unavailable(target, "a"))
        assert await target.apply(upserts("a")) == [Applied()]

    with_port(scenario, timeout_seconds=0.5)


def test_a_port_that_is_not_there() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        await stub.close()
        await unavailable(target, "a")
        with pytest.raises(TargetUnavailableError):
            await target.owned([EntityRef("service", "a")])
        with pytest.raises(TargetUnavailableError):
            await target.prepare(BLUEPRINTS, {})

    with_port(scenario)


def test_expired_tokens_are_renewed_once_for_all() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        await target.apply(upserts("a"))
        stub.expire_tokens()
        outcomes = await asyncio.gather(*(target.apply(upserts(f"b{n}")) for n in range(6)))
        assert outcomes == [[Applied()]] * 6
        assert len(stub.asked("POST", "/auth/access_token")) == 2

    with_port(scenario)


def test_one_token_serves_many_requests_and_is_renewed_before_it_expires() -> None:
    async def lasting(stub: PortStub, target: PortTarget) -> None:
        for n in range(3):
            await target.apply(upserts(f"a{n}"))
        assert len(stub.asked("POST", "/auth/access_token")) == 1

    async def short(stub: PortStub, target: PortTarget) -> None:
        for n in range(3):
            assert await target.apply(upserts(f"a{n}")) == [Applied()]
        assert len(stub.asked("POST", "/auth/access_token")) == 3
        assert not [request for request in stub.requests if request.status == 401]

    with_port(lasting)
    # The stub's clock stands still: its tokens look short-lived to the client only.
    with_port(short, PortStub(token_lifetime_seconds=1e-9, monotonic=lambda: 0.0))


def test_a_failing_token_request_fails_all_who_wait_and_heals() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        stub.fail_next(500, path="access_token")
        results = await asyncio.gather(
            *(target.apply(upserts(f"a{n}")) for n in range(4)), return_exceptions=True
        )
        assert [type(result).__name__ for result in results] == ["PortUnavailableError"] * 4
        assert len(stub.asked("POST", "/auth/access_token")) == 1
        assert await target.apply(upserts("a")) == [Applied()]

    with_port(scenario)


def test_a_cancelled_caller_does_not_take_the_token_from_the_others() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        first = asyncio.create_task(target.apply(upserts("a")))
        second = asyncio.create_task(target.apply(upserts("b")))
        async with asyncio.timeout(10):
            await stub.until(lambda stub: bool(stub.asked("POST", "/auth/access_token")))
        first.cancel()
        assert await second == [Applied()]

    with_port(scenario)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_the_client_secret_follows_no_redirect(status: int) -> None:
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path.startswith("/stolen"):
            return web.Response()
        return web.Response(
            status=status, headers={"Location": f"http://localhost:{request.url.port}/stolen"}
        )

    async def run() -> None:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", elsewhere)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        stub = PortStub()
        target = target_of(stub, base_url=f"http://127.0.0.1:{runner.addresses[0][1]}")
        assert "TIDEGATE__PORT__BASE_URL" in str(await unavailable(target, "a"))
        await target.close()
        await runner.cleanup()

    asyncio.run(run())
    assert asked == ["/v1/auth/access_token"]


@pytest.mark.parametrize(
    "answer",
    [
        b"Content-Length: 99999999\r\n\r\n" + b" " * 100_000,
        b"Transfer-Encoding: chunked\r\n\r\n" + b"100000\r\n%s\r\n" % (b" " * 0x100000) * 17,
    ],
    ids=["declared", "chunked"],
)
def test_an_answer_that_does_not_end_is_not_taken(answer: bytes) -> None:
    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + answer)
        with suppress(ConnectionError):
            await reader.read()  # until the client hangs up
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        hung_up.set()

    hung_up = asyncio.Event()

    async def run() -> None:
        server = await asyncio.start_server(answering, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        target = target_of(PortStub(), base_url=url)
        assert "answered more than 16777216 bytes" in str(await unavailable(target, "a"))
        async with asyncio.timeout(10):
            await hung_up.wait()
        await target.close()
        server.close()
        await server.wait_closed()

    asyncio.run(run())


def test_wrong_credentials_are_an_outage_and_the_secret_is_not_shown() -> None:
    secret = "a-very-secret-text"

    async def scenario(stub: PortStub, target: PortTarget) -> None:
        error = await unavailable(target, "a")
        assert "check the client id and the client secret" in str(error)
        told = "".join(traceback.format_exception(error)) + repr(target) + repr(vars(target))
        assert secret not in told

    with_port(scenario, client_secret=secret)


def test_half_of_a_bulk_is_refused() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        for n in range(10, 20):
            stub.refuse("service", f"s{n}", "not today", status=404 if n % 2 else 422)
        outcomes = await target.apply(upserts(*(f"s{n}" for n in range(20))))
        assert outcomes[:10] == [Applied()] * 10
        assert [isinstance(outcome, Refused) and outcome.retryable for outcome in outcomes[10:]] == [
            bool(n % 2) for n in range(10, 20)
        ]
        assert len(stub.asked("POST", "/entities/bulk")) == 1
        assert stub.requests[-1].status == 207

    with_port(scenario)


def test_a_malformed_entity_is_found_in_its_bulk() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        outcomes = await target.apply(upserts("a", "b c", "d"))
        assert [type(outcome) for outcome in outcomes] == [Applied, Refused, Applied]
        assert len(stub.asked("POST", "/entities/bulk")) == 1
        assert len(stub.asked("POST", "/entities")) == 3

    with_port(scenario)


def test_a_poisonous_entity_does_not_stop_its_bulk() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        stub.fail_next(500, path="bulk")
        stub.refuse("service", "poison", "boom", status=500)
        outcomes = await target.apply(upserts("a", "b", "poison", "d", "e"))
        assert [type(outcome) for outcome in outcomes] == [Applied, Applied, Refused, Applied, Applied]
        refused = outcomes[2]
        assert isinstance(refused, Refused)
        assert refused.retryable

    with_port(scenario)


def test_an_outage_with_500_costs_few_requests() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        stub.outage(status=500)
        await unavailable(target, *(f"s{n}" for n in range(20)))
        stub.outage(on=False)
        stub.fail_next(500, 10, path="service/")
        await unavailable(target, *(f"s{n}" for n in range(20)))
        assert len([request for request in stub.requests if "/service/" in request.path]) == 3

    with_port(scenario)


def test_bulks_are_packed_by_number_and_size() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        await target.apply(upserts(*(f"s{n}" for n in range(45))))
        sizes = [len(request.body["entities"]) for request in stub.asked("POST", "/bulk")]
        assert sorted(sizes) == [5, 20, 20]
        stub.requests.clear()
        large = upserts(*(f"l{n}" for n in range(10)), properties={"external_id": "x" * 300_000})
        assert await target.apply(large) == [Applied()] * 10
        sizes = [len(request.body["entities"]) for request in stub.asked("POST", "/bulk")]
        assert sorted(sizes) == [1, 3, 3, 3]

    with_port(scenario)


def test_an_entity_larger_than_a_request_is_refused_unsent() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        outcomes = await target.apply(
            [*upserts("huge", properties={"external_id": "x" * 1_100_000}), *upserts("a")]
        )
        assert [type(outcome) for outcome in outcomes] == [Refused, Applied]
        assert "1048576" in str(outcomes[0])

    with_port(scenario)


def test_searches_travel_alone() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        query = {"combinator": "and", "rules": [{"property": "slack", "operator": "=", "value": "#x"}]}
        await target.apply([*upserts("a", "b"), *upserts("c", relations={"owner": query})])
        (bulk,) = stub.asked("POST", "/bulk")
        (single,) = stub.asked("POST", "/entities")
        assert [entity["identifier"] for entity in bulk.body["entities"]] == ["a", "b"]
        assert single.body["relations"] == {"owner": query}
        assert single.query == {
            "upsert": "true",
            "merge": "true",
            "create_missing_related_entities": "true",
            "validation_only": "false",
        }

    with_port(scenario)


def test_blueprints_do_not_wait_for_each_other() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        stub.hang_next(path="service/entities/bulk")
        apply = asyncio.create_task(target.apply([*upserts("a"), Upsert(Entity("t", "team"), 1)]))
        async with asyncio.timeout(10):
            await stub.until(lambda stub: EntityRef("team", "t") in stub.entities)
        apply.cancel()
        await asyncio.gather(apply, return_exceptions=True)

    with_port(scenario)


@pytest.mark.parametrize("identifier", ["", ".", ".."])
def test_names_that_would_turn_a_path_into_another_are_not_sent(identifier: str) -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        assert await target.apply([Delete(EntityRef("service", identifier), 1)]) == [Applied()]
        assert await target.apply([Delete(EntityRef(identifier, "a"), 1)]) == [Applied()]
        (outcome,) = await target.apply([Upsert(Entity("a", identifier), 1)])
        assert isinstance(outcome, Refused)
        assert not stub.requests

    with_port(scenario)


def test_deletes_send_the_option_and_survive_a_repetition() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        await target.apply(upserts("a/b"))
        stub.lose_answer(2, path="entities/a")
        delete = [Delete(EntityRef("service", "a/b"), 1)]
        with pytest.raises(TargetUnavailableError):
            await target.apply(delete)
        assert await target.apply(delete) == [Applied()]
        assert stub.requests[-1].query == {"delete_dependents": "false"}

    with_port(scenario, options=TargetOptions(delete_dependent_entities=False))


def test_ownership_is_asked_in_slices() -> None:
    async def scenario(stub: PortStub, target: PortTarget) -> None:
        await target.apply(upserts(*(f"s{n}" for n in range(60))))
        refs = [EntityRef("service", f"s{n}") for n in range(120)]
        assert await target.owned(refs) == frozenset(refs[:60])
        assert len(stub.asked("POST", "/entities/search")) == 3
        assert {entity["datasource"] for entity in stub.entities.values()} == {
            "tidegate/mlflow/main/exporter"
        }

    with_port(scenario)
