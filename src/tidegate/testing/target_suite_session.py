"""What the cases of the target suite share: blueprints, options, and a prepared target with shorthands."""
# ruff: noqa: S101 - a conformance suite speaks in assertions

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from tidegate.core.entities import Entity, EntityRef
from tidegate.core.events import Json
from tidegate.core.ports import Applied, ChangeOutcome, Delete, EntityTarget, Refused, Upsert
from tidegate.core.resources import TargetOptions


@dataclass(frozen=True, slots=True)
class TargetUnderTest:
    """A target, another integration's target on the same catalog, and a view of what is stored.

    `stored` answers an entity in the shape of Port's API, or None. The suite calls `prepare` itself.
    """

    target: EntityTarget
    other: EntityTarget
    stored: Callable[[EntityRef], Awaitable[dict[str, Json] | None]]


TargetFactory: TypeAlias = Callable[[TargetOptions], AbstractAsyncContextManager[TargetUnderTest]]

BLUEPRINTS: Sequence[Mapping[str, Json]] = (
    {
        "identifier": "team",
        "title": "Team",
        "schema": {"properties": {"slack": {"type": "string"}}, "required": []},
        "relations": {},
    },
    {
        "identifier": "service",
        "title": "Service",
        "schema": {
            "properties": {
                "url": {"type": "string", "format": "url"},
                "stars": {"type": "number"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "tier": {"type": "string", "enum": ["gold", "silver"]},
                "external_id": {"type": "string"},
            },
            "required": [],
        },
        "calculationProperties": {"score": {"type": "number", "calculation": ".properties.stars * 2"}},
        "relations": {
            "owner": {"target": "team", "many": False, "required": False},
            "uses": {"target": "service", "many": True, "required": False},
        },
    },
    {
        "identifier": "deployment",
        "title": "Deployment",
        "schema": {"properties": {"version": {"type": "string"}}, "required": ["version"]},
        "relations": {"service": {"target": "service", "many": False, "required": True}},
    },
)

MERGE = TargetOptions(
    delete_dependent_entities=False, create_missing_related_entities=False, enable_merge_entity=True
)
REPLACE = replace(MERGE, enable_merge_entity=False)
CREATE_MISSING = replace(MERGE, create_missing_related_entities=True)
CASCADE = replace(MERGE, delete_dependent_entities=True)


@dataclass(slots=True)
class Session:
    """A prepared target with shorthands; each write has a higher fence than the one before."""

    under_test: TargetUnderTest
    fence: int = 100

    async def apply(self, *changes: Entity | EntityRef) -> list[ChangeOutcome]:
        self.fence += 1
        return await self.under_test.target.apply(
            [
                Upsert(change, self.fence) if isinstance(change, Entity) else Delete(change, self.fence)
                for change in changes
            ]
        )

    async def applied(self, *changes: Entity | EntityRef) -> None:
        outcomes = await self.apply(*changes)
        assert outcomes == [Applied()] * len(changes), outcomes

    async def refused(self, change: Entity | EntityRef, *, retryable: bool, part: str = "") -> None:
        (outcome,) = await self.apply(change)
        assert isinstance(outcome, Refused), outcome
        assert outcome.retryable is retryable, outcome
        assert part in outcome.reason, outcome

    async def stored(self, blueprint: str, identifier: str) -> dict[str, Json]:
        found = await self.under_test.stored(EntityRef(blueprint, identifier))
        assert found is not None, f"{blueprint}/{identifier} is not stored"
        return found

    async def absent(self, blueprint: str, identifier: str) -> None:
        found = await self.under_test.stored(EntityRef(blueprint, identifier))
        assert found is None, f"{blueprint}/{identifier} is stored"

    async def properties(self, identifier: str) -> dict[str, Json]:
        """A service's properties that have a value or were set to null."""
        return (await self.stored("service", identifier))["properties"]


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario with the target options that it needs. Call it with a factory."""

    name: str
    options: TargetOptions
    scenario: Callable[[Session], Awaitable[None]]

    async def __call__(self, factory: TargetFactory) -> None:
        async with factory(self.options) as under_test:
            await under_test.target.prepare(BLUEPRINTS, {})
            await self.scenario(Session(under_test))


def case(options: TargetOptions) -> Callable[[Callable[[Session], Awaitable[None]]], Case]:
    """Make a case of a scenario, named as its function is."""
    return lambda scenario: Case(getattr(scenario, "__name__", "case"), options, scenario)


def service(identifier: Json, **fields: Any) -> Entity:
    """A service; keyword arguments are the entity's fields."""
    return Entity(identifier=identifier, blueprint="service", **fields)


def find(operator: str, name: str, value: Json) -> dict[str, Json]:
    rule = {"property": name, "operator": operator, "value": value}
    return {"combinator": "and", "rules": [rule]}
