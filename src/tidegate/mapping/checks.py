"""What is wrong with a mapping before any item comes: for `tidegate doctor` and for authors' tests."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import cast

from tidegate.core.events import Json
from tidegate.core.resources import ResourceConfig
from tidegate.mapping.expressions import Constant, classify
from tidegate.mapping.mapper import DEFAULT_LIMITS, JqMapper, MappingProblem
from tidegate.mapping.process import MapperLimits


async def check_expressions(
    configs: Sequence[ResourceConfig], limits: MapperLimits = DEFAULT_LIMITS
) -> list[MappingProblem]:
    """Compile every expression; also tell of selectors that are constant and neither true nor false.

    Raises MapperUnavailableError.
    """
    mapper = JqMapper(configs, limits)
    try:
        return [*_constant_selectors(configs), *await mapper.problems()]
    finally:
        await mapper.close()


def check_blueprints(
    configs: Sequence[ResourceConfig], blueprints: Sequence[Mapping[str, Json]]
) -> list[MappingProblem]:
    """Compare what is mapped with what the blueprints have. Blueprints named by an expression are passed over.

    A blueprint is an object as in Port's API: `identifier`, `schema.properties`, `schema.required`, `relations`.
    """
    known = {str(blueprint.get("identifier")): blueprint for blueprint in blueprints}
    return [problem for config in configs for problem in _against_blueprint(config, known)]


def _constant_selectors(configs: Sequence[ResourceConfig]) -> Iterator[MappingProblem]:
    for config in configs:
        query = config.selector.query
        expression = classify(query)
        if isinstance(expression, Constant) and not isinstance(expression.value, bool):
            hint = "; leave out the inner quotes" if expression.value in ("true", "false") else ""
            reason = f"is neither true nor false, so that every item is skipped{hint}"
            yield MappingProblem(config, "selector", query, reason)


def _against_blueprint(
    config: ResourceConfig, known: Mapping[str, Mapping[str, Json]]
) -> Iterator[MappingProblem]:
    entity = config.port.entity
    expression = classify(entity.blueprint)
    if not isinstance(expression, Constant) or not isinstance(expression.value, str):
        return
    name = expression.value
    if name not in known:
        problem = f"there is no blueprint {name}{_hint(name, known)}"
        yield MappingProblem(config, "blueprint", entity.blueprint, problem)
        return
    schema = _object(known[name].get("schema"))
    properties, relations = _object(schema.get("properties")), _object(known[name].get("relations"))
    mapped = entity.properties or {}
    for what, fields, there in (
        ("properties", mapped, properties),
        ("relations", entity.relations or {}, relations),
    ):
        for field, text in fields.items():
            if field not in there:
                problem = f"blueprint {name} has no such {_SINGULAR[what]}{_hint(field, there)}"
                yield MappingProblem(config, f"{what}.{field}", str(text), problem)
    for field in cast(Sequence[str], schema.get("required") or ()):
        if field not in mapped:
            problem = f"blueprint {name} requires it, and the mapping does not give it"
            yield MappingProblem(config, f"properties.{field}", "", problem)


_SINGULAR = {"properties": "property", "relations": "relation"}


def _object(value: Json) -> Mapping[str, Json]:
    return cast(dict[str, Json], value) if isinstance(value, dict) else {}


def _hint(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f" (there are {', '.join(sorted(known))})" if known else " (there are none)"
