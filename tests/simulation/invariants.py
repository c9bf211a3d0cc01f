"""What must hold: of every claim while the schedule runs, and of the catalog when it is quiet."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.sender import Sender
from tests.simulation.source import Source
from tests.simulation.weather import Style
from tidegate.core.entities import Entity, EntityRef
from tidegate.core.events import EventPayload
from tidegate.core.inspection import EventFilter, Page
from tidegate.core.lifecycle import EventState
from tidegate.core.ports import Clock
from tidegate.core.runs import RunClaim
from tidegate.testing.engine_suite import FullEngine


class ViolatedError(AssertionError):
    """A guarantee did not hold."""


@dataclass
class Claims:
    """Notes it when a lane has two live claims."""

    clock: Clock
    lease_seconds: float
    violations: list[str] = field(default_factory=list)
    _live: dict[str, tuple[RunClaim, float]] = field(default_factory=dict)

    def given(self, claims: Sequence[RunClaim]) -> None:
        now = self.clock.monotonic()
        for claim in claims:
            if claim.lane is None:
                continue
            before = self._live.get(claim.lane)
            if before is not None and before[1] > now + 1e-6:
                self.violations.append(f"run {claim.run_id} was lent while run {before[0].run_id} was")
            self._live[claim.lane] = claim, now + self.lease_seconds

    def renewed(self, claims: Sequence[RunClaim], renewed: Collection[int]) -> None:
        for claim in claims:
            known = self._live.get(claim.lane or "")
            if claim.run_id in renewed and known is not None and known[0].token == claim.token:
                self._live[claim.lane or ""] = claim, self.clock.monotonic() + self.lease_seconds

    def ended(self, claim: RunClaim) -> None:
        known = self._live.get(claim.lane or "")
        if known is not None and known[0].token == claim.token:
            del self._live[claim.lane or ""]


async def check_nothing_is_lost(engine: FullEngine, sender: Sender) -> None:
    """Every accepted event has a final state, and the counts add up."""
    backlog = await engine.backlog()
    if backlog.unfinished or backlog.dead_runs:
        raise ViolatedError(f"not quiet: {backlog}")
    records = {record.seq: record for record in await engine.find_events(EventFilter(), Page(limit=100_000))}
    if set(records) != set(sender.accepted):
        raise ViolatedError(f"stored {sorted(records)}, accepted {sorted(sender.accepted)}")
    for seq, payload in sender.accepted.items():
        state = records[seq].state
        allowed = {EventState.APPLIED, EventState.COALESCED}
        if "forged" in payload:
            allowed = {EventState.REJECTED, EventState.COALESCED}
        if state not in allowed:
            raise ViolatedError(f"event {seq} ({payload}) is {state}")


def wanted(source: Source, sender: Sender, style: Style) -> dict[EntityRef, list[dict[str, Any]]]:
    """What each entity may look like; one that is not here must not be there."""
    items: dict[int, EventPayload] = {}
    for _, payload in sorted(sender.accepted.items()):
        if "forged" in payload:
            continue
        item = payload["item"]
        present = source.now(item["id"])
        if style.fetches:
            items[item["id"]] = present.item if present is not None and present.exists else {}
        else:
            items[item["id"]] = {} if payload["action"] == "deleted" else item
    looks: dict[EntityRef, list[dict[str, Any]]] = {}
    for item in items.values():
        if not item:
            continue
        properties = {"id": item["id"], "version": item["version"]}
        if item["selected"]:
            looks.setdefault(EntityRef("issue", item["name"]), []).append(properties)
        if style.has_key:
            for team in item["teams"]:
                looks.setdefault(EntityRef("team", team), []).append(properties)
    return looks


def differences(entities: dict[EntityRef, Entity], looks: dict[EntityRef, list[dict[str, Any]]]) -> list[str]:
    """Where the catalog is not as it should be."""
    found = [
        f"{ref} is missing: it should be one of {looks[ref]}" for ref in sorted(set(looks) - set(entities))
    ]
    for ref, entity in sorted(entities.items()):
        if ref not in looks:
            found.append(f"{ref} is an orphan: {entity.properties}")
        elif entity.properties not in looks[ref]:
            found.append(f"{ref} is {entity.properties}, not one of {looks[ref]}")
    return found
