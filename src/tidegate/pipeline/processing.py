"""One attempt of a run, as a list of steps: load, authenticate, validate, fetch, map, plan, write.

Whatever happens ends in a Settlement; the worker hands it to the engine.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from tidegate.authoring import AbstractWebhookProcessor, Registration
from tidegate.core.errors import RetryableError, StaleClaimError, TidegateError
from tidegate.core.plans import Plan, Proposal, make_plan
from tidegate.core.ports import (
    Applied,
    Change,
    ChangeOutcome,
    Clock,
    Delete,
    Engine,
    EntityMapper,
    Mapped,
    Overtaken,
    Refused,
    Upsert,
)
from tidegate.core.resources import ResourceConfig, WebhookEventRawResults
from tidegate.core.runs import (
    ROUTING_CONFIG,
    Completed,
    Dead,
    EntityWrite,
    Ignored,
    Rejected,
    Released,
    Rerouted,
    Retry,
    RunClaim,
    Settlement,
    StepName,
    WriteAction,
)
from tidegate.core.signals import ProcessorFailed, Telemetry
from tidegate.core.traces import NO_TRACING, Tracing
from tidegate.fetch import FetchStatusError
from tidegate.pipeline.applying import StateApplier
from tidegate.pipeline.attempts import Attempt
from tidegate.pipeline.bounded import within
from tidegate.pipeline.deadlines import Deadlines
from tidegate.pipeline.faults import describe, settle_failure, settle_unloaded
from tidegate.pipeline.instances import InstanceCache
from tidegate.pipeline.registry import Registry
from tidegate.pipeline.routing import Router
from tidegate.pipeline.staleness import StaleReadError, check_read

OVERTAKEN_DELAY_SECONDS = 0.02
"""How long a run waits whose write came too late; the newer write is there already, so there is no hurry."""


@dataclass(frozen=True, slots=True)
class RunLimits:
    """`timeout_seconds` bounds one attempt. A run whose worker died `max_expirations` times is given up.

    `recorded_bytes` bounds the copy of the fetched items that is kept with each attempt; 0 keeps none.
    """

    timeout_seconds: float = 120.0
    max_expirations: int = 5
    cancel_seconds: float = 5.0
    recorded_bytes: int = 65_536


class Hold(Protocol):
    """What the worker knows of the claim's lease."""

    @property
    def task(self) -> asyncio.Task[object]:
        """The task in which the attempt is made."""
        ...

    def holds(self) -> bool:
        """False if the lease may be over: nothing must be written any more."""
        ...

    def sending(self, writes: tuple[EntityWrite, ...]) -> None:
        """Take note of what is about to be sent to the target."""
        ...

    def mapped(self) -> None:
        """Take note that nothing more is asked of the third party, and nothing of its answers is held."""
        ...


class RefusedWriteError(TidegateError):
    """The target refused some entities of the plan; `writes` tells what became of each."""

    def __init__(self, refused: Sequence[Refused], writes: tuple[EntityWrite, ...]) -> None:
        reasons = [f"{write.ref}: {write.reason}" for write in writes if write.action is WriteAction.REFUSED]
        super().__init__(f"the target refused {len(reasons)} of {len(writes)} entities: {'; '.join(reasons)}")
        self.retryable = all(refusal.retryable for refusal in refused)
        self.writes = writes


class OvertakenError(TidegateError):
    """A newer write came first. The run goes back undecided and fetches anew."""


@dataclass(frozen=True, slots=True)
class RunProcessor:
    """Processes claimed runs. Holds no state of its own between runs."""

    registry: Registry
    router: Router
    instances: InstanceCache
    mapper: EntityMapper
    engine: Engine
    applier: StateApplier
    clock: Clock
    telemetry: Telemetry
    uniform: Callable[[], float]
    deadlines: Deadlines
    limits: RunLimits = RunLimits()
    tracing: Tracing = NO_TRACING

    async def process(self, claim: RunClaim, lease: Hold) -> Settlement:
        """Make one attempt. The lease is asked before anything is written, and told what.

        Raises StaleClaimError (drop everything) and CancelledError; all else becomes a Settlement.
        """
        registration = self.registry.find(claim.event.path, claim.processor)
        if registration is None:
            return Dead(
                f"no processor named {claim.processor} is registered under {claim.event.path} any more: "
                "bring it back and redrive, or discard"
            )
        if claim.expirations >= self.limits.max_expirations:
            return Dead(f"the worker died {claim.expirations} times while it processed this run")
        attempt = Attempt(claim, self.clock, self.telemetry, self.tracing, self.limits.recorded_bytes)
        try:
            loaded = await self._load(registration, claim, attempt)
            if isinstance(loaded, (Ignored, Rerouted, Retry, Dead)):
                return loaded
            return await self._guarded(loaded, claim, attempt, lease)
        finally:
            attempt.ended()

    async def _load(
        self, registration: Registration, claim: RunClaim, attempt: Attempt
    ) -> AbstractWebhookProcessor | Ignored | Rerouted | Retry | Dead:
        """The instance to go on with, or why there is none."""
        try:
            with attempt.step(StepName.LOAD):
                return await self._instance(registration, claim)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - an author's code may raise anything
            return settle_unloaded(error, registration.processor, claim, attempt.trail(), self.uniform)

    async def _instance(
        self, registration: Registration, claim: RunClaim
    ) -> AbstractWebhookProcessor | Ignored | Rerouted:
        """The instance that routed the event, or a fresh one that was asked again."""
        if claim.config == ROUTING_CONFIG:
            return await self._routed(registration, claim)
        kept = self.instances.take(claim.event.seq, claim.processor)
        if kept is not None:
            return kept
        processor = self.registry.create(registration, claim.event)
        asked = self.router.configs_for(processor, claim.processor)
        configs, reason = await within(self.router.limits.timeout_seconds, asked)
        return processor if configs else Ignored(reason)

    async def _routed(self, registration: Registration, claim: RunClaim) -> Rerouted:
        """What a run does that asks a processor anew, because it failed when its event was routed."""
        processor = self.registry.create(registration, claim.event)
        asked = self.router.wanted_by(processor, claim.processor)
        wanted = await within(self.router.limits.timeout_seconds, asked)
        self.instances.put(claim.event.seq, claim.processor, processor, uses=len(wanted.runs))
        return Rerouted(wanted.runs, wanted.reason)

    async def _guarded(
        self,
        processor: AbstractWebhookProcessor,
        claim: RunClaim,
        attempt: Attempt,
        lease: Hold,
    ) -> Settlement:
        """Run the steps within the time limit; call the author's hooks around them."""
        processor.retry_count = claim.failures
        deadline = self.deadlines.begin(lease.task)
        try:
            with deadline:
                await processor.before_processing()
                settlement = await self._steps(processor, claim, attempt, lease)
                await processor.after_processing()
                return settlement
        except StaleClaimError:
            await self._cancelled(processor, claim)
            raise
        except asyncio.CancelledError:
            await self._cancelled(processor, claim)
            raise
        except Exception as error:  # noqa: BLE001 - an author's code may raise anything
            failure: Exception = error
            if deadline.expired:
                await self._cancelled(processor, claim)
                failure = TimeoutError(f"the run took more than {self.deadlines.seconds:g} s")
            return await self._failed(failure, processor, claim, attempt)
        except SystemExit as error:  # or one event would stop the whole service
            failure = RuntimeError(f"the processor called sys.exit({error.code!r})")
            return await self._failed(failure, processor, claim, attempt)

    async def _failed(
        self, error: Exception, processor: AbstractWebhookProcessor, claim: RunClaim, attempt: Attempt
    ) -> Settlement:
        self.instances.discard(claim.event.seq, claim.processor)
        try:
            async with asyncio.timeout(self.limits.cancel_seconds):
                await processor.on_error(error)
        except (Exception, SystemExit) as broken:  # noqa: BLE001 - an author's code may raise anything
            attempt.warn(f"on_error raised {describe(broken)}")
        if isinstance(error, OvertakenError):
            return Released(OVERTAKEN_DELAY_SECONDS, str(error), attempt.trail())
        writes: tuple[EntityWrite, ...] = ()
        if isinstance(error, RefusedWriteError):
            writes = error.writes
            error = RetryableError(str(error)) if error.retryable else error
        return settle_failure(
            error, processor, claim, attempt.trail(), self.clock.now(), self.uniform, writes
        )

    async def _cancelled(self, processor: AbstractWebhookProcessor, claim: RunClaim) -> None:
        """Tell the author's code that its attempt was stopped; it must not be able to hold up the worker."""
        self.instances.discard(claim.event.seq, claim.processor)
        try:
            async with asyncio.timeout(self.limits.cancel_seconds):
                await processor.cancel()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - an author's code may raise anything
            failed = ProcessorFailed(claim.event.id, claim.processor, describe(error))
            self.telemetry.emit(failed)

    async def _steps(
        self,
        processor: AbstractWebhookProcessor,
        claim: RunClaim,
        attempt: Attempt,
        lease: Hold,
    ) -> Settlement:
        config = self.registry.config(claim.config)
        if config is None:
            return Ignored(f"the mapping has no entry {claim.config} any more", attempt.trail())
        payload = processor.event.payload
        with attempt.step(StepName.AUTHENTICATE):
            authentic = await processor.authenticate(payload, processor.event.headers)
        if not authentic:
            return Rejected("authenticate() said no", attempt.trail())
        with attempt.step(StepName.VALIDATE):
            valid = await processor.validate_payload(payload)
        if not valid:
            return Rejected("validate_payload() said no", attempt.trail())
        proposal, version = await self._propose(processor, claim, config, attempt)
        lease.mapped()
        plan = await self._plan(claim, proposal, attempt)
        writes = await self._write(claim, plan, attempt, lease)
        return Completed(writes, plan.dropped, version, attempt.trail())

    async def _propose(
        self, processor: AbstractWebhookProcessor, claim: RunClaim, config: ResourceConfig, attempt: Attempt
    ) -> tuple[Proposal, str]:
        """What the mapping makes of what is fetched, and its version."""
        results, version = await self._fetch(processor, claim, config, attempt)
        return await self._map(config, results, attempt), version

    async def _fetch(
        self, processor: AbstractWebhookProcessor, claim: RunClaim, config: ResourceConfig, attempt: Attempt
    ) -> tuple[WebhookEventRawResults, str]:
        """The raw results and their version. Raises StaleReadError while the third party lags behind the event."""
        payload = processor.event.payload
        may_lag = claim.failures < processor.max_retries
        try:
            with attempt.step(StepName.FETCH):
                results = await processor.handle_event(payload, config)
        except FetchStatusError as error:
            if (
                error.status == HTTPStatus.NOT_FOUND
                and may_lag
                and processor.event_version(payload) is not None
            ):
                raise StaleReadError(f"the event announces a version, but {error}") from error
            raise
        if not isinstance(results, WebhookEventRawResults):  # pyright: ignore[reportUnnecessaryIsInstance]
            name = type(processor).__name__
            kind = type(results).__name__  # pyright: ignore[reportUnknownArgumentType]
            raise TypeError(f"{name}.handle_event returned {kind}, not WebhookEventRawResults")
        attempt.fetched(results)
        read = check_read(processor, claim, payload, results)
        if read.stale and may_lag:
            raise StaleReadError(read.stale)
        if read.stale:
            attempt.warn(f"{read.stale}; this is taken as the current state after {claim.failures} retries")
        return results, read.version

    async def _map(
        self, config: ResourceConfig, results: WebhookEventRawResults, attempt: Attempt
    ) -> Proposal:
        with attempt.step(StepName.MAP):
            updated = await self.mapper.map(config, results.updated_raw_results)
            deleted = Mapped()
            if results.deleted_raw_results:
                deleted = await self.mapper.map(config, results.deleted_raw_results, select=False)
        attempt.warn(*updated.warnings, *deleted.warnings)
        attempt.note(
            f"{len(updated.passed)} selected, {len(updated.failed)} not, {len(deleted.passed)} deleted"
        )
        return Proposal(updated.passed, updated.failed, deleted.passed, incomplete=updated.skipped > 0)

    async def _plan(self, claim: RunClaim, proposal: Proposal, attempt: Attempt) -> Plan:
        with attempt.step(StepName.PLAN):
            upserts = {entity.ref for entity in proposal.upserts}
            staged = await self.engine.stage(claim, upserts, proposal.candidates)
            plan = make_plan(proposal, staged, claim.event.seq)
            if plan.unknown:
                foreign = plan.unknown - await self.applier.owned(plan.unknown)
                plan = plan.without_deleting(foreign, "the target has none of this integration")
        attempt.note(f"{len(plan.upserts)} upserts, {len(plan.deletes)} deletes, {len(plan.kept)} kept")
        return plan

    async def _write(
        self, claim: RunClaim, plan: Plan, attempt: Attempt, lease: Hold
    ) -> tuple[EntityWrite, ...]:
        """Apply the plan. Raises RefusedWriteError or OvertakenError if a part of it was not taken."""
        changes: list[Change] = [Upsert(entity, claim.token) for entity in plan.upserts]
        changes += [Delete(write.ref, claim.token) for write in plan.deletes]
        wanted = (
            *(EntityWrite(entity.ref, WriteAction.UPSERT, entity=entity) for entity in plan.upserts),
            *plan.deletes,
        )
        lease.sending(wanted)
        with attempt.step(StepName.WRITE):
            outcomes = await self.applier.apply(changes, lease.holds)
        kinds = set(map(type, outcomes))
        if Overtaken in kinds:
            raise OvertakenError("a run that fetched later has written the entity")
        if Refused in kinds:
            refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
            raise RefusedWriteError(refused, tuple(map(_written, wanted, outcomes)))
        return (*wanted, *plan.kept)


def _written(wanted: EntityWrite, outcome: ChangeOutcome) -> EntityWrite:
    match outcome:
        case Applied() | Overtaken():
            return wanted
        case Refused(reason=reason):
            return EntityWrite(wanted.ref, WriteAction.REFUSED, reason, wanted.entity)
