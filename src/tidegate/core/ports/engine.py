"""The durable store of events, runs and what was written."""

from collections.abc import Awaitable, Collection, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

import msgspec

from tidegate.core.entities import EntityRef
from tidegate.core.events import EventHeaders, IncomingEvent
from tidegate.core.inspection import (
    Backlog,
    BlueprintCount,
    EntitiesFound,
    EntityFilter,
    EventDetail,
    EventFilter,
    EventRecord,
    EventsFound,
    Page,
    RunDetail,
    RunFilter,
    RunRecord,
    WriteRecord,
)
from tidegate.core.plans import Staged
from tidegate.core.runs import EntityWrite, EventClaim, Routing, RunClaim, Settlement
from tidegate.core.samples import Sample


class Accepted(msgspec.Struct, frozen=True):
    """The event is durable."""

    seq: int


class Duplicate(msgspec.Struct, frozen=True):
    """The same delivery is already stored, as the event named here."""

    event_id: str


class BacklogFull(msgspec.Struct, frozen=True):
    """Nothing was stored: the backlog is at its configured limit."""

    limit: int


EnqueueOutcome: TypeAlias = Accepted | Duplicate | BacklogFull


class Engine(Protocol):
    """The durable store of events, runs and what was written: the verbs of the hot path.

    Every verb is one atomic transaction, and many concurrent calls share one commit. A verb that cannot
    commit raises EngineUnavailableError and has changed nothing. A caller that is cancelled cannot know
    whether its verb was committed. Time is the engine's own clock. Leases last the engine's `lease_seconds`.
    Tokens come from one counter that never goes back, over all machines.
    """

    @property
    def lease_seconds(self) -> float: ...

    async def enqueue(self, event: IncomingEvent) -> EnqueueOutcome:
        """Store the event durably (fsync or server commit) as QUEUED, then answer.

        A delivery is a Duplicate if an event of the same path and delivery id is stored and that event is
        not REJECTED, DEAD or DISCARDED; replays (`replay_of`) and events without a delivery id are never duplicates.
        The backlog is full if it holds as many unfinished events and runs as the engine may hold
        (`Backlog.unfinished`); a duplicate is told so even then.
        """
        ...

    async def claim_events(self, limit: int) -> list[EventClaim]:
        """Lend up to `limit` QUEUED events whose lease is free or over, oldest first.

        An event whose stored data cannot be read goes DEAD with that as its reason; the rest goes on.
        """
        ...

    def route(self, claim: EventClaim, routing: Routing) -> Awaitable[bool]:
        """Settle the routing of an event: create, or coalesce into, the runs it asks for. False if stale
        (another claim was given since, or the event is not QUEUED any more).

        For each request with a lane: if a READY or HELD run of the lane exists, the event joins it (the run
        takes the event as its newest if its seq is higher, and with it the event's path, and the request's
        version if that is higher; nothing else of it changes); else, if a run of the lane is CLAIMED, a HELD run is created; else a READY one. Without a
        lane: a READY run of its own. A new run is due after the request's delay and keeps its error as
        detail. No runs: the event is IGNORED with the reason (DEAD if `routing.dead`).

        Call it for many events, and then wait for all answers: what is asked for together is committed together.
        """
        ...

    async def claim_runs(self, limit: int, excluding: Collection[str] = ()) -> list[RunClaim]:
        """Lend up to `limit` due runs, oldest due first within a processor, taking turns between processors.

        Due are READY runs whose time has come and CLAIMED runs whose lease is over. Processors in
        `excluding` are passed over, at a cost that does not grow with their backlog. Turns go by name, from
        the processor after the one served last. A lane never has two live claims. A run whose stored data
        cannot be read goes DEAD with that as its error; the rest goes on.

        A lane does not go back. The newest stored event that an APPLIED run of the lane has as its newest, and no
        REJECTED or IGNORED one, joins the run if it is newer than the run's own: the claim is for that event,
        which is ROUTED until the run is done. And the run's version is raised to that of the APPLIED run.
        """
        ...

    async def renew(self, claims: Sequence[RunClaim]) -> frozenset[int]:
        """Extend the leases of claims that are still live; the ids of the runs for which that worked.

        Here and below a claim is live until another claim of its run is given, or until it is settled: a
        lease that ran out unnoticed does no harm.
        """
        ...

    async def stage(
        self, claim: RunClaim, upserts: Collection[EntityRef], candidates: Collection[EntityRef]
    ) -> Staged:
        """Say, before anything is written, what is about to be: a write-ahead of lineage.

        Answers what the claim's source (resource config and key) wrote before, and who else wrote that and
        the candidates, `upserts` left out; then records the source as a writer of `upserts`, from the
        claim's event (so that a crash after the write leaves no orphan). What nobody else wrote of the previous
        and the candidates is noted as doomed until the run is final: the run may be about to delete it. Raises
        StaleClaimError.

        What another processor wrote for the same source from the same event or a later one counts as
        another writer's, so that what one processor of an event upserts is not deleted by another. Runs
        without a resource key share the source '' of their config: nothing is `previous` for them, and
        there what any later event wrote counts as another writer's too.
        """
        ...

    async def settle(self, claim: RunClaim, settlement: Settlement) -> bool:
        """End the claim. False, and nothing changed, if the claim is stale (another claim was given since,
        or the run is not CLAIMED any more).

        Completed: APPLIED, with the settlement's version as the run's. Rerouted: the runs are created as by
        `route`; the run is APPLIED and has no say in its event's outcome any more, or it is IGNORED with the
        reason if there are none. Retry and Released: READY again after the delay; a HELD run of the lane merges
        into it (and is SUPERSEDED; the higher version stays). Otherwise a HELD run of the lane becomes READY,
        due now. Rejected and Ignored are of the claim's event alone: the run's other events, at which nobody
        has looked, go on, with the run's version, in the lane's pending run or in a new READY one. Events whose
        runs are all final get their final state, as `event_outcome` says.

        Writes are journalled, whatever the settlement; UPSERT, DELETE and ABSENT also stamp the entity. If
        another run stamped it after this claim was given, and differently (DELETE and ABSENT are the same), the
        two overlapped: those that `engines.overlaps.who_owes` names owe a refresh (this run, if the other or
        its event is not stored any more).

        Completed also lets go of `dropped`: this source's own rows (see `stage`) leave lineage, but for those of
        another processor whose run is live, or that another run stamped after this claim was given. For one that was
        KEPT, the writer from the newest event (the last by name, if there are several) owes a refresh, for this
        source may have written the entity last; if nobody else writes it any more, the row stays, and this run
        owes one. A deleted entity loses its writers whose event is not newer and whose run is not live; none,
        if another run stamped it after this claim was given.

        A run that is final now lets go of what is doomed (see `stage`). If this settlement stamps it not, an
        attempt that could not tell may have deleted it: the writer from the newest event owes a refresh, unless
        it is this run or one of its lane (which would do the same again).

        To owe a refresh is to need one more run like that one, for its newest event: on its lane, or on the
        entity's refresh lane if it has none. A run that is pending there is enough; on a refresh lane it takes
        up the event if that is newer. A settlement makes each run owe one at most. The event is ROUTED until
        the refresh is done.
        """
        ...

    async def refresh(self, claim: RunClaim, writes: Sequence[EntityWrite]) -> None:
        """Tell what was written under a claim that had become stale, and may lie over newer writes.

        Records the source as a writer of the upserts (as `stage` does), stamps the entities, and owes a refresh
        to whoever had stamped one of them differently after the claim was given. Owes one more run to the
        claim's lane (without one: to the same processor, config and event), for the lane's newest event; not if
        one is pending. Does nothing if the run is not stored any more.
        """
        ...

    async def headers(self, run_id: int, limit: int) -> list[EventHeaders]:
        """Those of the events that a run stands for, newest first. What cannot be read is left out."""
        ...

    async def wait(self, timeout_seconds: float, *, events: bool = True, runs: bool = True) -> None:
        """Return as soon as there may be something new to claim, or when a delay or a lease ends, or after
        the time-out; or for no reason.

        `events` and `runs` say what for. New is what is committed after the call began: begin to wait, then
        claim, and nothing is missed.
        """
        ...


class EngineOperations(Protocol):
    """The verbs of operators: look, mend, keep tidy. Same atomicity as Engine."""

    async def backlog(self) -> Backlog:
        """Counts, at a cost that does not grow with the backlog."""
        ...

    async def find_events(self, where: EventFilter, page: Page) -> list[EventRecord]:
        """Events that match, newest first. Processor, kind and resource key must be those of one run."""
        ...

    async def search_events(self, where: EventFilter, page: Page, seconds: float) -> EventsFound:
        """As `find_events`, but for people who wait: it stops after about so many seconds, however many
        events are stored, and says how far it came. At least some events are looked at in any case.
        """
        ...

    async def event(self, event_id: str) -> EventDetail:
        """Raises NotFoundError. An id's unambiguous beginning (8 characters or more) will do.

        Shows the runs that stand for the event now, oldest first: those that were merged into another run
        have handed it on.
        """
        ...

    async def find_runs(self, where: RunFilter, page: Page) -> list[RunRecord]:
        """Runs that match, newest first."""
        ...

    async def run(self, run_id: int) -> RunDetail:
        """Attempts and writes in the order in which they happened. Raises NotFoundError."""
        ...

    async def writes(self, ref: EntityRef, page: Page) -> list[WriteRecord]:
        """What was done to an entity, newest first."""
        ...

    async def blueprints(self) -> list[BlueprintCount]:
        """The blueprints of which this integration wrote entities, by name, with bounded counts."""
        ...

    async def search_entities(
        self, where: EntityFilter, after: EntityRef | None, limit: int, seconds: float
    ) -> EntitiesFound:
        """Entities that this integration writes, or wrote as far as the journal tells, by blueprint and
        identifier; those that follow `after`. Stops after about so many seconds, as `search_events` does.
        """
        ...

    async def redrive(self, where: RunFilter, limit: int) -> int:
        """Put DEAD runs back, oldest first: READY with failures and expirations at 0 (HELD if a run of the
        lane is claimed), or merged into the pending run of their lane. Answers how many.
        """
        ...

    async def discard(self, where: RunFilter, limit: int) -> int:
        """Give up DEAD runs, oldest first; they stay visible as DISCARDED. Answers how many."""
        ...

    async def prune(self, finished_before: datetime, limit: int) -> int:
        """Forget up to `limit` events that were final before the time (dead ones are kept), the earliest
        first, with their runs, journal and deduplication keys. Lineage stays. A run goes with the last of its
        events, and what was merged into it goes with it. Answers how many events.
        """
        ...

    async def keep_sample(self, sample: Sample) -> None:
        """Keep what a process did, with the engine's time as its `at`. Those older than SAMPLES_KEPT go."""
        ...

    async def samples(self, since: datetime) -> list[Sample]:
        """Those kept at this time or later, oldest first."""
        ...


class WholeEngine(Engine, EngineOperations, Protocol):
    """What an engine's adapter offers: both."""
