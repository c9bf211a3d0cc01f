"""Upserts packed into as few requests as Port allows, and its answers taken apart again, entity by entity."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from tidegate.core.entities import Entity
from tidegate.core.events import Json
from tidegate.core.ports import Applied, ChangeOutcome, Refused
from tidegate.core.resources import TargetOptions
from tidegate.targets.port.api import PortApi, address, query
from tidegate.targets.port.errors import PortUnavailableError
from tidegate.targets.port.http import PortAnswer
from tidegate.targets.shapes import as_text, has_search, is_array, is_object

MAX_BULK_ENTITIES = 20
MAX_BODY_BYTES = 1024 * 1024
"""Limits of one request (Port's API reference, "Create multiple entities")."""

_ENVELOPE_BYTES = len('{"entities":[]}')

Outcomes = dict[int, ChangeOutcome]
"""Outcomes by the position of their change."""


class Parcel(NamedTuple):
    """One entity on its way: its position among the changes, and its JSON."""

    position: int
    blueprint: str
    json: bytes


class Upserts:
    """Sends upserts. A request of which nothing is known raises PortUnavailableError."""

    def __init__(self, api: PortApi, options: TargetOptions) -> None:
        self._api = api
        self._query = query(
            upsert=True,
            merge=options.enable_merge_entity,
            create_missing_related_entities=options.create_missing_related_entities,
            validation_only=False,
        )

    def requests(self, entities: Iterable[tuple[int, Entity]]) -> list[Coroutine[Any, Any, Outcomes]]:
        """The requests for these entities, to be awaited in any order."""
        alone: list[Parcel] = []
        together: dict[str, list[Parcel]] = {}
        for position, entity in entities:
            parcel = Parcel(position, entity.blueprint, _json(entity))
            if has_search(entity):
                alone.append(parcel)
            else:
                together.setdefault(entity.blueprint, []).append(parcel)
        bulks = [bulk for parcels in together.values() for bulk in _packed(parcels)]
        return [*(self._bulk(bulk) for bulk in bulks), *(self._single(parcel) for parcel in alone)]

    async def _bulk(self, parcels: Sequence[Parcel]) -> Outcomes:
        body = b'{"entities":[' + b",".join(parcel.json for parcel in parcels) + b"]}"
        if len(body) > MAX_BODY_BYTES:
            return {parcel.position: _too_large(parcel) for parcel in parcels}
        try:
            path = address("blueprints", parcels[0].blueprint, "entities", "bulk") + self._query
            answer = await self._api.call("POST", path, body)
        except PortUnavailableError as error:
            if error.status != 500 or len(parcels) == 1:
                raise
            return await self._after_a_failure(parcels)
        if answer.ok:
            return _outcomes(parcels, answer)
        if answer.status == 404 or len(parcels) == 1:
            return {parcel.position: _refused(answer) for parcel in parcels}
        # One malformed entity has the whole bulk refused: find out which.
        return _merged(await asyncio.gather(*(self._single(parcel) for parcel in parcels)))

    async def _single(self, parcel: Parcel) -> Outcomes:
        if len(parcel.json) > MAX_BODY_BYTES:
            return {parcel.position: _too_large(parcel)}
        path = address("blueprints", parcel.blueprint, "entities") + self._query
        answer = await self._api.call("POST", path, parcel.json)
        return {parcel.position: Applied() if answer.ok else _refused(answer)}

    async def _after_a_failure(self, parcels: Sequence[Parcel]) -> Outcomes:
        """Port failed (500) on a bulk: because of one entity in it, or because it fails on everything?

        If the first and the last fail too, it is an outage. Else whoever fails alone is refused for now, so that
        one poisonous entity does not stop the others.
        """
        ends = [await self._alone(parcel) for parcel in (parcels[0], parcels[-1])]
        failures = [end for end in ends if isinstance(end, PortUnavailableError)]
        if len(failures) == len(ends):
            raise failures[0]
        rest = await asyncio.gather(*(self._alone(parcel) for parcel in parcels[1:-1]))
        outcomes: Outcomes = {}
        for parcel, result in zip((parcels[0], parcels[-1], *parcels[1:-1]), (*ends, *rest), strict=True):
            if isinstance(result, PortUnavailableError):
                outcomes[parcel.position] = Refused(str(result), retryable=True)
            else:
                outcomes |= result
        return outcomes

    async def _alone(self, parcel: Parcel) -> Outcomes | PortUnavailableError:
        try:
            return await self._single(parcel)
        except PortUnavailableError as error:
            if error.status != 500:
                raise
            return error


def _json(entity: Entity) -> bytes:
    """The entity as Port takes it: numbers become text where text is wanted."""
    relations = entity.relations
    if not isinstance(relations, msgspec.UnsetType):
        relations = {name: _identifiers(value) for name, value in relations.items()}
    sent = msgspec.structs.replace(
        entity,
        identifier=as_text(entity.identifier),
        title=as_text(entity.title),
        icon=as_text(entity.icon),
        relations=relations,
    )
    return msgspec.json.encode(sent)


def _identifiers(value: Json) -> Json:
    return [as_text(item) for item in value] if is_array(value) else as_text(value)


def _packed(parcels: Iterable[Parcel]) -> list[list[Parcel]]:
    """Bulks of at most MAX_BULK_ENTITIES and MAX_BODY_BYTES; what is too large by itself is by itself."""
    bulks: list[list[Parcel]] = []
    size = 0
    for parcel in parcels:
        added = len(parcel.json) + 1
        if not bulks or len(bulks[-1]) >= MAX_BULK_ENTITIES or size + added > MAX_BODY_BYTES:
            bulks.append([])
            size = _ENVELOPE_BYTES
        bulks[-1].append(parcel)
        size += added
    return bulks


def _outcomes(parcels: Sequence[Parcel], answer: PortAnswer) -> Outcomes:
    done, errors = _by_index(answer.body.get("entities")), _by_index(answer.body.get("errors"))
    outcomes: Outcomes = {}
    for index, parcel in enumerate(parcels):
        if index in errors:
            status = errors[index].get("statusCode")
            refusal = PortAnswer(status if isinstance(status, int) else 422, errors[index])
            outcomes[parcel.position] = _refused(refusal)
        elif index in done:
            outcomes[parcel.position] = Applied()
        else:
            outcomes[parcel.position] = Refused("Port's answer does not mention this entity", retryable=True)
    return outcomes


def _by_index(entries: Json) -> dict[int, dict[str, Json]]:
    if not is_array(entries):
        return {}
    found = [entry for entry in entries if is_object(entry)]
    return {entry["index"]: entry for entry in found if isinstance(entry.get("index"), int)}


def _refused(answer: PortAnswer) -> Refused:
    """404 is a related entity or a blueprint that may come; 409 and 5xx pass; the rest is wrong for good."""
    passing = answer.status in (404, 409, 429) or answer.status >= 500
    return Refused(answer.reason, retryable=passing or answer.body.get("error") == "not_found")


def _too_large(parcel: Parcel) -> Refused:
    return Refused(f"the entity has {len(parcel.json)} bytes; Port takes {MAX_BODY_BYTES}")


def _merged(parts: Iterable[Outcomes]) -> Outcomes:
    return {position: outcome for part in parts for position, outcome in part.items()}
