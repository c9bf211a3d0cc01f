"""Who wrote an entity: Port keeps the writer's user agent as the entity's datasource."""

from collections.abc import Collection, Sequence
from urllib.parse import quote

from tidegate.core.entities import EntityRef
from tidegate.core.events import Json
from tidegate.targets.port.api import PortApi, document
from tidegate.targets.port.errors import PortUnavailableError
from tidegate.targets.shapes import is_array, is_object

MAX_REFS_IN_A_SEARCH = 50


def user_agent(integration_type: str, integration_identifier: str) -> str:
    """The user agent, and so the datasource, of an integration."""
    return f"tidegate/{quote(integration_type, safe='')}/{quote(integration_identifier, safe='')}/exporter"


async def owned(api: PortApi, agent: str, refs: Collection[EntityRef]) -> frozenset[EntityRef]:
    """Which of these exist with this datasource. Raises PortUnavailableError."""
    wanted = list(refs)
    found: set[EntityRef] = set()
    for start in range(0, len(wanted), MAX_REFS_IN_A_SEARCH):
        found |= await _owned(api, agent, wanted[start : start + MAX_REFS_IN_A_SEARCH])
    return frozenset(found & set(refs))


async def _owned(api: PortApi, agent: str, refs: Sequence[EntityRef]) -> set[EntityRef]:
    named: list[Json] = [
        _all(_equal("$blueprint", ref.blueprint), _equal("$identifier", ref.identifier)) for ref in refs
    ]
    written_by = {"property": "$datasource", "operator": "contains", "value": agent}
    query = _all({"combinator": "or", "rules": named}, written_by)
    path = "/entities/search?exclude_calculated_properties=true&include=blueprint&include=identifier"
    answer = await api.call("POST", path, document(query))
    entities = answer.body.get("entities")
    if not answer.ok or not is_array(entities):
        raise PortUnavailableError(
            f"the search for owned entities failed: {answer.reason}", status=answer.status
        )
    return {
        EntityRef(str(entity.get("blueprint")), str(entity.get("identifier")))
        for entity in entities
        if is_object(entity)
    }


def _equal(name: str, value: str) -> dict[str, Json]:
    return {"property": name, "operator": "=", "value": value}


def _all(*rules: dict[str, Json]) -> dict[str, Json]:
    return {"combinator": "and", "rules": list(rules)}
