"""The agreement test: whatever is done to two engines, they answer the same, and the guarantees hold.

The engine in memory is the model. A crash abandons claims at any point: what was committed is all there is.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import apsw
import psycopg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from psycopg.sql import SQL, Identifier

from tests.engines.commands import (
    CHANGES_OF_ONE,
    DEAD_FILTERS,
    LANED,
    PROCESSORS,
    REFS,
    ROUTINGS,
    SETTLEMENTS,
    SOME_REFS,
    SOME_REQUESTS,
    WRITES,
)
from tests.engines.pictures import Picture, check_backlog, check_event, check_transitions, picture_of
from tests.postgres import give_back_schema, on_postgres, server, take_schema
from tidegate.core.entities import EntityRef
from tidegate.core.errors import StaleClaimError
from tidegate.core.events import EventHeaders, IncomingEvent
from tidegate.core.inspection import RunFilter
from tidegate.core.lifecycle import (
    LIVE_EVENT_STATES,
    EventState,
    RunState,
)
from tidegate.core.ports import Accepted, Duplicate
from tidegate.core.runs import (
    Completed,
    EntityWrite,
    EventClaim,
    Routing,
    RunClaim,
    RunRequest,
    Settlement,
)
from tidegate.engines.memory import MemoryEngine
from tidegate.engines.sqlite import SqliteEngine
from tidegate.testing.clock import FakeClock
from tidegate.testing.engine_suite import FullEngine

LEASE_SECONDS = 10.0
MAX_BACKLOG = 15

ResultT = TypeVar("ResultT")
Verb = Callable[[FullEngine], Awaitable[Any]]


class Agreement(RuleBasedStateMachine):
    """Drives the model and an engine that keeps things. Claims are kept by their place in lists, stale ones too."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FakeClock()
        self.memory = MemoryEngine(self.clock, lease_seconds=LEASE_SECONDS, max_backlog=MAX_BACKLOG)
        self.stack = AsyncExitStack()
        self.event_claims: list[EventClaim] = []
        self.run_claims: list[RunClaim] = []
        self.leases: dict[str, tuple[int, datetime]] = {}
        self.accepted: set[int] = set()
        self.pruned = 0
        self.made = 0
        self.tokens = 0
        self.seen = Picture(None, [], [], [])

    @initialize()
    def start(self) -> None:
        self.runner.run(self.open())
        self.tokens = self.first_token()
        self.memory._store.last_token = self.tokens  # a new store's tokens begin where time stands
        self.seen = self.look()

    def opened(self) -> AbstractAsyncContextManager[FullEngine]:
        """The engine, on what it kept when it was open before."""
        raise NotImplementedError

    def first_token(self) -> int:
        """Where the tokens of an empty engine begin."""
        raise NotImplementedError

    def clear(self) -> None:
        """Remove what the engine kept."""
        raise NotImplementedError

    async def open(self) -> None:
        self.durable = await self.stack.enter_async_context(self.opened())

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.run(self.memory.close())
        self.runner.close()
        self.clear()

    def both(self, verb: Verb) -> Any:
        """Do it to both engines; they answer the same."""
        expected = self.runner.run(self.answer(verb, self.memory))
        found = self.runner.run(self.answer(verb, self.durable))
        assert found == expected
        return expected

    async def answer(self, verb: Verb, engine: FullEngine) -> object:
        try:
            return await verb(engine)
        except StaleClaimError:
            return StaleClaimError

    def look(self) -> Picture:
        return self.both(picture_of)

    def changes_nothing(self, since: Picture) -> None:
        assert self.look() == since

    # --- events ----------------------------------------------------------------------------------------

    @rule(
        path=st.sampled_from(("/one", "/two")),
        delivery_id=st.sampled_from((None, "d-1", "d-2")),
        replay=st.sampled_from((False, False, True)),
    )
    def enqueue(self, path: str, delivery_id: str | None, replay: bool) -> None:
        event = self.event(path, delivery_id, replay_of="another" if replay else None)
        before = self.look()
        twins = [
            detail.record.id
            for detail in before.events
            if (detail.record.path, detail.record.delivery_id) == (path, delivery_id)
            and detail.record.state not in {EventState.REJECTED, EventState.DEAD, EventState.DISCARDED}
        ]
        outcome = self.both(lambda engine: engine.enqueue(event))
        if isinstance(outcome, Accepted):
            assert not twins or replay or delivery_id is None
            assert all(outcome.seq > seq for seq in self.accepted)
            self.accepted.add(outcome.seq)
            return
        if isinstance(outcome, Duplicate):
            assert outcome.event_id == twins[0]
        else:
            assert self.runner.run(self.memory.backlog()).unfinished >= MAX_BACKLOG
        self.changes_nothing(before)

    def event(self, path: str, delivery_id: str | None, replay_of: str | None = None) -> IncomingEvent:
        self.made += 1
        return IncomingEvent(
            id=f"{self.made:08x}-event",
            path=path,
            headers=EventHeaders({"X-Number": str(self.made)}),
            body=b"{}",
            received_at=self.clock.now(),
            trace_id="t",
            delivery_id=delivery_id,
            replay_of=replay_of,
        )

    @rule(limit=st.integers(0, 3))
    def claim_events(self, limit: int) -> None:
        claims = self.both(lambda engine: engine.claim_events(limit))
        self.take_tokens([claim.token for claim in claims])
        self.event_claims += claims

    @precondition(lambda self: self.event_claims)
    @rule(data=st.data(), routing=ROUTINGS)
    def route(self, data: st.DataObject, routing: Routing) -> None:
        """Any claim that was ever given: most are stale."""
        claim = data.draw(st.sampled_from(self.event_claims))
        if not self.route_both(claim, routing):
            self.changes_nothing(self.seen)

    @rule(routings=st.lists(ROUTINGS, min_size=3, max_size=3))
    def route_what_is_queued(self, routings: list[Routing]) -> None:
        self.claim_events(3)
        for claim, routing in zip(self.event_claims[::-1], routings, strict=False):
            self.route_both(claim, routing)

    @rule(requests=SOME_REQUESTS)
    def deliver(self, requests: tuple[RunRequest, ...]) -> None:
        self.enqueue("/one", None, False)
        self.route_what_is_queued([Routing(requests)] * 3)

    @rule(requests=SOME_REQUESTS)
    def deliver_again(self, requests: tuple[RunRequest, ...]) -> None:
        self.deliver(requests)

    # --- runs ------------------------------------------------------------------------------------------

    @rule(limit=st.integers(1, 4), excluding=st.sets(PROCESSORS, max_size=1))
    def claim_runs(self, limit: int, excluding: set[str]) -> None:
        before = {detail.record.id: detail.record.state for detail in self.look().runs}
        claims = self.both(lambda engine: engine.claim_runs(limit, excluding))
        self.take_tokens([claim.token for claim in claims])
        self.run_claims += claims
        now = self.clock.now()
        for claim in claims:
            assert claim.processor not in excluding
            if claim.lane is None:
                continue
            run_id, ends_at = self.leases.get(claim.lane, (0, now))
            assert ends_at <= now or before.get(run_id) is not RunState.CLAIMED, "two live claims of a lane"
            self.leases[claim.lane] = (claim.run_id, self.lease_end(claim.run_id))

    @rule()
    def claim_all_runs(self) -> None:
        self.claim_runs(10, set())

    def take_tokens(self, tokens: list[int]) -> None:
        for token in tokens:
            assert token > self.tokens
            self.tokens = token

    def lease_end(self, run_id: int) -> datetime:
        due_at = self.runner.run(self.memory.run(run_id)).record.due_at
        assert due_at is not None
        return due_at

    def stage_both(
        self, claim: RunClaim, upserts: Collection[EntityRef], candidates: Collection[EntityRef] = REFS
    ) -> None:
        self.both(lambda engine: engine.stage(claim, upserts, candidates))

    def settle_both(self, claim: RunClaim, settlement: Settlement) -> bool:
        return self.both(lambda engine: engine.settle(claim, settlement))

    def route_both(self, claim: EventClaim, routing: Routing) -> bool:
        return self.both(lambda engine: engine.route(claim, routing))

    def live_claims(self) -> list[RunClaim]:
        tokens = {
            detail.attempts[-1].token for detail in self.seen.runs if detail.record.state is RunState.CLAIMED
        }
        return [claim for claim in self.run_claims if claim.token in tokens]

    @precondition(lambda self: self.run_claims)
    @rule(data=st.data(), upserts=SOME_REFS, candidates=SOME_REFS)
    def stage(self, data: st.DataObject, upserts: set[EntityRef], candidates: set[EntityRef]) -> None:
        claim = data.draw(st.sampled_from(self.run_claims))
        self.stage_both(claim, upserts, candidates)

    @precondition(lambda self: self.run_claims)
    @rule(data=st.data(), settlement=SETTLEMENTS)
    def settle(self, data: st.DataObject, settlement: Settlement) -> None:
        """Any claim that was ever given: most are stale."""
        claim = data.draw(st.sampled_from(self.run_claims))
        if not self.settle_both(claim, settlement):
            self.changes_nothing(self.seen)

    @precondition(lambda self: self.live_claims())
    @rule(data=st.data(), settlement=SETTLEMENTS)
    def settle_a_live_claim(self, data: st.DataObject, settlement: Settlement) -> None:
        claim = data.draw(st.sampled_from(self.live_claims()))
        assert self.settle_both(claim, settlement)

    @precondition(lambda self: self.live_claims())
    @rule(settlements=st.lists(SETTLEMENTS, min_size=2, max_size=2), upserts=SOME_REFS)
    def settle_live_claims(self, settlements: list[Settlement], upserts: set[EntityRef]) -> None:
        """The newest first: they overlap."""
        for claim, settlement in zip(self.live_claims()[::-1], settlements, strict=False):
            self.stage_both(claim, upserts)
            self.settle_both(claim, settlement)

    @precondition(lambda self: len(self.live_claims()) >= 2)
    @rule(changes=st.lists(CHANGES_OF_ONE, min_size=2, max_size=2), dropped=SOME_REFS)
    def overlap(self, changes: list[EntityWrite], dropped: set[EntityRef]) -> None:
        """Two claims that are live at once write the same entity, the newest first."""
        for claim, change in zip(self.live_claims()[::-1], changes, strict=False):
            done = Completed((change,), tuple(sorted(dropped)))
            self.stage_both(claim, {change.ref})
            self.settle_both(claim, done)

    @rule(requested=LANED, settlement=SETTLEMENTS)
    def meet_on_a_lane(self, requested: RunRequest, settlement: Settlement) -> None:
        """An event comes while a run of its lane is claimed; then the claim ends."""
        self.deliver((requested,))
        self.claim_all_runs()
        self.deliver((requested,))
        for claim in [claim for claim in self.run_claims if claim.lane == requested.lane][-1:]:
            self.settle_both(claim, settlement)

    @precondition(lambda self: self.run_claims)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        claims = data.draw(st.lists(st.sampled_from(self.run_claims), max_size=3))
        renewed = self.both(lambda engine: engine.renew(claims))
        for claim in claims:
            if claim.run_id in renewed and claim.lane is not None:
                self.leases[claim.lane] = (claim.run_id, self.lease_end(claim.run_id))

    @precondition(lambda self: self.run_claims)
    @rule(data=st.data(), writes=WRITES)
    def refresh(self, data: st.DataObject, writes: tuple[EntityWrite, ...]) -> None:
        claim = data.draw(st.sampled_from(self.run_claims))
        self.both(lambda engine: engine.refresh(claim, writes))

    # --- time and operators ----------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((0.5, 4.0, LEASE_SECONDS, 3 * LEASE_SECONDS)))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def crash(self) -> None:
        self.memory = self.memory.crash()
        self.runner.run(self.stack.aclose())
        self.runner.run(self.open())
        self.changes_nothing(self.seen)

    def states(self) -> set[RunState]:
        return {detail.record.state for detail in self.seen.runs}

    @precondition(lambda self: RunState.DEAD in self.states())
    @rule(where=DEAD_FILTERS, limit=st.integers(0, 3))
    def redrive(self, where: RunFilter, limit: int) -> None:
        self.both(lambda engine: engine.redrive(where, limit))

    @precondition(lambda self: RunState.DEAD in self.states())
    @rule(where=DEAD_FILTERS, limit=st.integers(0, 3))
    def discard(self, where: RunFilter, limit: int) -> None:
        self.both(lambda engine: engine.discard(where, limit))

    @precondition(lambda self: any(detail.record.finished_at for detail in self.seen.events))
    @rule(limit=st.integers(1, 3))
    def prune(self, limit: int) -> None:
        kept = {
            detail.record.seq
            for detail in self.look().events
            if detail.record.state in LIVE_EVENT_STATES or detail.record.state is EventState.DEAD
        }
        self.pruned += self.both(lambda engine: engine.prune(self.clock.now(), limit))
        assert {detail.record.seq for detail in self.look().events} >= kept

    # --- what always holds -----------------------------------------------------------------------------

    @invariant()
    def nothing_is_lost_and_everything_adds_up(self) -> None:
        before, self.seen = self.seen, self.look()
        seqs = {detail.record.seq for detail in self.seen.events}
        assert seqs <= self.accepted
        assert len(seqs) + self.pruned == len(self.accepted)
        check_backlog(self.seen)
        for detail in self.seen.events:
            check_event(detail)
        check_transitions(before, self.seen)


class AgreementOnSqlite(Agreement):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="tidegate-agreement-"))

    def opened(self) -> AbstractAsyncContextManager[FullEngine]:
        return SqliteEngine.open(
            self.folder / "engine.db", clock=self.clock, lease_seconds=LEASE_SECONDS, max_backlog=MAX_BACKLOG
        )

    def first_token(self) -> int:
        connection = apsw.Connection(str(self.folder / "engine.db"), apsw.SQLITE_OPEN_READONLY)
        token: int = connection.execute("SELECT token FROM counters").get
        connection.close()
        return token

    def clear(self) -> None:
        shutil.rmtree(self.folder)


class AgreementOnPostgres(Agreement):
    def __init__(self) -> None:
        super().__init__()
        self.schema = take_schema()

    def opened(self) -> AbstractAsyncContextManager[FullEngine]:
        return on_postgres(
            self.clock,
            self.schema,
            lease_seconds=LEASE_SECONDS,
            max_backlog=MAX_BACKLOG,
            connections=1,
            look_seconds=0.0,
        )

    def first_token(self) -> int:
        with psycopg.connect(server().url()) as connection:
            rows = connection.execute(SQL("SELECT last_value FROM {}.tokens").format(Identifier(self.schema)))
            [(token,)] = rows.fetchall()
            return token

    def clear(self) -> None:
        give_back_schema(self.schema)


def _settings(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


TestSqlite = AgreementOnSqlite.TestCase
TestSqlite.settings = _settings(25, 40)
TestPostgres = AgreementOnPostgres.TestCase
TestPostgres.settings = _settings(10, 30)
