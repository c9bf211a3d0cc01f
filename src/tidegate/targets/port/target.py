"""Port as an EntityTarget: its REST API over one pooled session."""

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any

from tidegate.core.entities import EntityRef
from tidegate.core.events import Json
from tidegate.core.ports import Applied, Change, ChangeOutcome, Delete, Refused, Upsert
from tidegate.core.resources import TargetOptions
from tidegate.targets.port.api import PortApi, address, query
from tidegate.targets.port.errors import PortUnavailableError
from tidegate.targets.port.http import Exchange
from tidegate.targets.port.ownership import owned, user_agent
from tidegate.targets.port.registration import create_blueprints, register_integration
from tidegate.targets.port.tokens import AccessTokens
from tidegate.targets.port.upserts import Outcomes, Upserts

_NOT_A_NAME = frozenset({"", ".", ".."})
"""What no entity and no blueprint can be called, and what would turn a path into another one."""


class PortTarget:
    """Writes entities to Port. Belongs to one event loop; `close` it when done."""

    batch_limit = 100
    fenced = False

    def __init__(
        self,
        base_url: str,
        client_id: str,
        client_secret: str,
        *,
        integration_identifier: str,
        integration_type: str,
        options: TargetOptions,
        timeout_seconds: float = 60.0,
    ) -> None:
        """`base_url` is without /v1: https://api.port.io. Nothing is sent before the first call.

        `timeout_seconds` bounds each request from connecting to the last byte of the answer.
        """
        self._base_url = base_url
        self._identifier = integration_identifier
        self._type = integration_type
        self._delete_query = query(delete_dependents=options.delete_dependent_entities)
        self._agent = user_agent(integration_type, integration_identifier)
        exchange = Exchange(base_url, self._agent, timeout_seconds)
        self._api = PortApi(exchange, AccessTokens(exchange, client_id, client_secret))
        self._upserts = Upserts(self._api, options)

    def __repr__(self) -> str:
        return f"PortTarget({self._base_url!r}, integration_identifier={self._identifier!r})"

    async def prepare(self, blueprints: Sequence[Mapping[str, Json]], default_mapping: Json) -> None:
        """Create the blueprints that are missing, register the integration, give it the mapping if it has none.

        Raises ConfigurationError if Port refuses one of them, and TargetUnavailableError.
        """
        await create_blueprints(self._api, blueprints)
        await register_integration(self._api, self._identifier, self._type, default_mapping)

    async def apply(self, changes: Sequence[Change]) -> list[ChangeOutcome]:
        """See EntityTarget. If one of the requests ends in an outage, the whole call raises, although others
        may have been carried out: sending the same changes again does no harm.
        """
        upserts = [
            (position, change.entity)
            for position, change in enumerate(changes)
            if isinstance(change, Upsert) and change.entity.blueprint not in _NOT_A_NAME
        ]
        work = self._upserts.requests(upserts)
        work += [
            self._delete(position, change.ref)
            for position, change in enumerate(changes)
            if isinstance(change, Delete) and _NOT_A_NAME.isdisjoint(change.ref)
        ]
        outcomes = await _all_of(work)
        return [outcomes.get(position) or _impossible(change) for position, change in enumerate(changes)]

    async def owned(self, refs: Collection[EntityRef]) -> frozenset[EntityRef]:
        """See EntityTarget."""
        return await owned(self._api, self._agent, refs)

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._api.close()

    async def _delete(self, position: int, ref: EntityRef) -> Outcomes:
        path = address("blueprints", ref.blueprint, "entities", ref.identifier)
        answer = await self._api.call("DELETE", path + self._delete_query)
        if answer.ok or answer.status == 404:
            return {position: Applied()}
        return {position: Refused(answer.reason, retryable=True)}  # what depends on it may go first


async def _all_of(work: Sequence[Coroutine[Any, Any, Outcomes]]) -> Outcomes:
    """Do everything at once; if something is unavailable, say so once all have ended."""
    results = await asyncio.gather(*work, return_exceptions=True)
    outcomes: Outcomes = {}
    failures: list[BaseException] = []
    for result in results:
        if isinstance(result, BaseException):
            failures.append(result)
        else:
            outcomes |= result
    bugs = [failure for failure in failures if not isinstance(failure, PortUnavailableError)]
    if bugs:
        raise bugs[0]
    if failures:
        raise max(failures, key=_patience)
    return outcomes


def _patience(failure: BaseException) -> float:
    """How long a failure asks to wait; the longest counts."""
    return getattr(failure, "retry_after_seconds", None) or 0.0


def _impossible(change: Change) -> ChangeOutcome:
    if isinstance(change, Delete):
        return Applied()  # it cannot be there
    return Refused(f"{change.entity.blueprint!r} cannot be a blueprint")
