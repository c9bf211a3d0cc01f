"""What Port has to know before entities come: the integration with its mapping, and the blueprints.

What is there already is the user's and is left alone.
"""

from collections.abc import Mapping, Sequence

from tidegate.core.errors import ConfigurationError
from tidegate.core.events import Json
from tidegate.targets.port.api import PortApi, address, document
from tidegate.targets.port.errors import PortUnavailableError
from tidegate.targets.port.http import PortAnswer
from tidegate.targets.shapes import is_object

_LATE_SECTIONS = ("mirrorProperties", "calculationProperties", "aggregationProperties", "ownership")
"""Sections that may speak of relations, which therefore have to be there before."""


async def register_integration(api: PortApi, identifier: str, kind: str, mapping: Json) -> None:
    """Create the integration if it is missing, and give it the mapping if it has none."""
    path = address("integration", identifier)
    answer = await api.call("GET", path)
    if answer.status == 404:
        created: dict[str, Json] = {"installationId": identifier, "installationAppType": kind}
        body = document({**created, "config": mapping or {}})
        answer = await api.call("POST", "/integration", body)
        if answer.status != 409:  # created meanwhile by another process
            _check(answer, f"integration {identifier}")
        return
    _check(answer, f"integration {identifier}")
    known = answer.body.get("integration")
    if mapping and is_object(known) and not known.get("config"):
        answer = await api.call("PATCH", path, document({"config": mapping}))
        _check(answer, f"the mapping of integration {identifier}")


async def create_blueprints(api: PortApi, blueprints: Sequence[Mapping[str, Json]]) -> None:
    """Create those that are missing, each after the ones that it has relations to.

    Where blueprints have relations to each other, they are created without, and completed afterwards.
    """
    waiting = {str(blueprint.get("identifier")): blueprint for blueprint in blueprints}
    for identifier in list(waiting):
        answer = await api.call("GET", address("blueprints", identifier))
        if answer.status != 404:
            _check(answer, f"blueprint {identifier}")
            del waiting[identifier]
    while waiting:
        ready = [name for name, blueprint in waiting.items() if not _targets(blueprint) & waiting.keys()]
        if not ready:
            await _create_in_steps(api, list(waiting.values()))
            return
        for name in ready:
            await _create(api, waiting.pop(name))


async def _create_in_steps(api: PortApi, blueprints: Sequence[Mapping[str, Json]]) -> None:
    for blueprint in blueprints:
        bare = {
            name: value
            for name, value in blueprint.items()
            if name not in _LATE_SECTIONS and name != "relations"
        }
        await _create(api, bare)
    for sections in (("relations",), _LATE_SECTIONS):
        for blueprint in blueprints:
            late = {name: blueprint[name] for name in sections if blueprint.get(name)}
            if late:
                identifier = str(blueprint["identifier"])
                answer = await api.call("PATCH", address("blueprints", identifier), document(late))
                _check(answer, f"blueprint {identifier}")


async def _create(api: PortApi, blueprint: Mapping[str, Json]) -> None:
    answer = await api.call("POST", "/blueprints", document(blueprint))
    if answer.status != 409:  # created meanwhile by another process
        _check(answer, f"blueprint {blueprint.get('identifier')}")


def _targets(blueprint: Mapping[str, Json]) -> set[str]:
    relations = blueprint.get("relations")
    if not is_object(relations):
        return set()
    return {str(relation.get("target")) for relation in relations.values() if is_object(relation)}


def _check(answer: PortAnswer, what: str) -> None:
    if answer.ok:
        return
    if answer.status == 404:
        raise PortUnavailableError(f"{what}: {answer.reason}", status=404)
    raise ConfigurationError(f"Port does not take {what}: {answer.reason}")
