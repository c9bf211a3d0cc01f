"""Which runs an event asks for: every processor of its path is asked, and one that fails concerns itself alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from tidegate.authoring import AbstractWebhookProcessor, Registration
from tidegate.core.events import StoredEvent
from tidegate.core.ports import Clock
from tidegate.core.resources import ResourceConfig
from tidegate.core.retry import jittered
from tidegate.core.runs import ROUTING_CONFIG, EventClaim, Routing, RunRequest, lane_of
from tidegate.core.signals import EventRouted, ProcessorFailed, Telemetry
from tidegate.pipeline.bounded import nobody_minds, within
from tidegate.pipeline.faults import describe
from tidegate.pipeline.instances import InstanceCache
from tidegate.pipeline.registry import Registry
from tidegate.pipeline.staleness import announced_by


@dataclass(frozen=True, slots=True)
class RoutingLimits:
    """`timeout_seconds` bounds what one processor may take to say whether it wants an event.

    An event whose router died `max_expirations` times is given up: it would go on killing.
    """

    timeout_seconds: float = 10.0
    max_expirations: int = 5


class Wanted(msgspec.Struct, frozen=True):
    """What one processor answered: its runs, or why it has none."""

    runs: tuple[RunRequest, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Router:
    """Asks processors and turns their answers into run requests."""

    registry: Registry
    instances: InstanceCache
    clock: Clock
    telemetry: Telemetry
    uniform: Callable[[], float]
    limits: RoutingLimits = RoutingLimits()

    async def route(self, claim: EventClaim, waits: Callable[[], None] = nobody_minds) -> Routing:
        """Never raises but for cancellation: what a processor raises becomes a run that asks it again.

        `waits` is called whenever a processor does not answer at once, before it is waited for.
        """
        event = claim.event
        if claim.expirations >= self.limits.max_expirations:
            return Routing(reason=f"routing it stopped the worker {claim.expirations} times", dead=True)
        began = self.clock.monotonic()
        registrations = self.registry.registrations(event.path)
        if claim.expirations:
            answers = [self._ask_apart(registration, claim) for registration in registrations]
        else:
            answers = [await self._ask(registration, event, waits) for registration in registrations]
        runs = tuple(request for answer in answers for request in answer.runs)
        reason = "; ".join(answer.reason for answer in answers if answer.reason)
        if not registrations:
            reason = f"no processor is registered under {event.path}"
        spent = self.clock.monotonic() - began
        self.telemetry.emit(EventRouted(event.id, event.path, len(runs), "" if runs else reason, spent))
        return Routing(runs=runs, reason="" if runs else reason)

    def _ask_apart(self, registration: Registration, claim: EventClaim) -> Wanted:
        """A worker died while it routed this event, or another one beside it. One of the processors may be why:
        each is asked in a run of its own, which is processed alone if that happens again.
        """
        reason = f"the worker stopped {claim.expirations} times while it routed this event or others"
        return Wanted(runs=(RunRequest(registration.name, ROUTING_CONFIG, "", None, None, 0.0, reason),))

    async def _ask(self, registration: Registration, event: StoredEvent, waits: Callable[[], None]) -> Wanted:
        try:
            instance = self.registry.create(registration, event)
            asked = self.wanted_by(instance, registration.name)
            wanted = await within(self.limits.timeout_seconds, asked, waits)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - an author's code may raise anything
            self.telemetry.emit(ProcessorFailed(event.id, registration.name, describe(error)))
            delay = jittered(registration.processor.initial_retry_delay_seconds, self.uniform)
            again = RunRequest(registration.name, ROUTING_CONFIG, "", None, None, delay, describe(error))
            return Wanted(runs=(again,))
        if wanted.runs:
            self.instances.put(event.seq, registration.name, instance, uses=len(wanted.runs))
        return wanted

    async def wanted_by(self, instance: AbstractWebhookProcessor, name: str) -> Wanted:
        """Ask one processor instance. Raises what the author's code raises."""
        configs, reason = await self.configs_for(instance, name)
        if not configs:
            return Wanted(reason=reason)
        event = instance.event
        key = instance.resource_key(event)
        version = announced_by(instance, event.payload)
        return Wanted(
            tuple(
                [
                    RunRequest(
                        name, config.id, config.kind, key, lane_of(name, config.id, key), version=version
                    )
                    for config in configs
                ]
            )
        )

    async def configs_for(
        self, instance: AbstractWebhookProcessor, name: str
    ) -> tuple[Sequence[ResourceConfig], str]:
        """The resource configs that a processor instance wants its event for, or why there are none."""
        event = instance.event
        if not await instance.should_process_event(event):
            return (), f"{name} does not want it"
        kinds = list(await instance.get_matching_kinds(event))
        configs = self.registry.configs_of(kinds)
        if configs:
            return configs, ""
        named = ", ".join(map(repr, kinds)) or "none"
        return (), f"the mapping has no entry for the kinds of {name} ({named})"
