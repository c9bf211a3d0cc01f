"""Reading a mapping: a port-app-config.yml, or the same document from elsewhere, as resource configs.

A wrong document is refused with every problem that it has, each with its line and its path in the document.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tidegate.core.errors import ConfigurationError
from tidegate.core.events import Json
from tidegate.core.resources import (
    EntityMapping,
    MappingText,
    PortMapping,
    ResourceConfig,
    Selector,
    TargetOptions,
)
from tidegate.mapping.document import Document, Location, Problem, parse_document, read_document
from tidegate.mapping.schema import (
    TAG,
    EntityModel,
    MappingModel,
    ResourceModel,
    SearchModel,
    misspelt_keys,
    what_is_taken,
)
from tidegate.mapping.values import type_name


@dataclass(frozen=True, slots=True)
class MappingFile:
    """A mapping. `document` is the whole of it as it was read (what Port takes as an integration's mapping)."""

    configs: tuple[ResourceConfig, ...]
    options: TargetOptions
    document: dict[str, Json]


def read_mapping(file: Path) -> MappingFile:
    """Read a mapping file. Raises ConfigurationError, which lists every problem."""
    return _parse(read_document(file), str(file))


def read_mapping_text(text: str, source: str = "the mapping") -> MappingText:
    """Read a mapping's text: a whole file, or one resource config. Raises ConfigurationError as `read_mapping`."""
    document = parse_document(text, source)
    value = document.value
    whole = not (isinstance(value, dict) and "kind" in value and "resources" not in value)
    file = _parse(document if whole else document.wrapped("resources"), source)
    return MappingText(file.configs, whole)


def parse_mapping(value: Json, source: str = "the mapping") -> MappingFile:
    """Take a mapping that is parsed already. Raises ConfigurationError, which lists every problem."""
    return _parse(Document(value), source)


def _parse(document: Document, source: str) -> MappingFile:
    problems = list(document.problems)
    if not isinstance(document.value, dict):
        problems.append(Problem((), f"must be an object with `resources`, not {type_name(document.value)}"))
    else:
        value = cast(dict[str, Json], document.value)
        for location, meant in misspelt_keys(value):
            problems.append(Problem(location, f"is not known here; did you mean {meant}?"))
        problems += () if problems else _not_json(value)
        try:
            model = MappingModel.model_validate(value)
        except ValidationError as error:
            problems += [
                _problem(each) for each in error.errors(include_url=False) if each["loc"][-1] != "[key]"
            ]
        else:
            if not problems:
                return _mapping(model, value)
    raise ConfigurationError(_report(problems, document, source))


def _not_json(value: dict[str, Json]) -> Iterator[Problem]:
    """What the models let pass, and no target could be sent."""
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError as error:
        yield Problem((), f"holds text that is not valid Unicode: {error.object[error.start]!a}")
    except (TypeError, ValueError, RecursionError) as error:
        yield Problem((), f"holds what JSON has not: {error}")


def _mapping(model: MappingModel, value: dict[str, Json]) -> MappingFile:
    options = TargetOptions(
        delete_dependent_entities=model.deleteDependentEntities,
        create_missing_related_entities=model.createMissingRelatedEntities,
        enable_merge_entity=model.enableMergeEntity,
    )
    return MappingFile(tuple(_configs(model.resources)), options, value)


def _configs(resources: Sequence[ResourceModel]) -> Iterator[ResourceConfig]:
    seen: Counter[str] = Counter()
    for resource in resources:
        seen[resource.kind] += 1
        count = seen[resource.kind]
        port = resource.port
        yield ResourceConfig(
            id=resource.kind if count == 1 else f"{resource.kind}#{count}",
            kind=resource.kind,
            selector=Selector(resource.selector.query, resource.selector.model_extra or {}),
            port=PortMapping(
                entity=_entity(port.entity.mappings),
                items_to_parse=port.itemsToParse,
                items_to_parse_name=port.itemsToParseName,
                items_to_parse_top_level_transform=port.itemsToParseTopLevelTransform,
            ),
        )


def _entity(model: EntityModel) -> EntityMapping:
    """Fields that the document does not name stay unnamed."""
    named = model.model_fields_set
    relations = {name: _to_json(value) for name, value in model.relations.items()}
    return EntityMapping(
        identifier=_to_json(model.identifier),
        blueprint=model.blueprint,
        title=model.title,
        icon=model.icon,
        team=_to_json(model.team),
        properties=dict(model.properties) if "properties" in named else None,
        relations=relations if "relations" in named else None,
    )


def _to_json(value: str | SearchModel | None) -> Json:
    """An expression as it is, a search as the object that was read."""
    return value.to_json() if isinstance(value, SearchModel) else value


def _problem(details: ErrorDetails) -> Problem:
    location = tuple(part for part in details["loc"] if not str(part).startswith(TAG))
    *parents, key = (part for part in ("", *location) if isinstance(part, str))
    parent = parents[-1] if parents else ""
    match details["type"]:
        case "missing":
            return Problem(location, f"is missing; it takes {what_is_taken(parent, key)}")
        case _:
            given = type_name(details["input"])
            taken = what_is_taken(parent, key)
            return Problem(location, f"takes {taken}; {_article(given)} {given} stands there")


def _article(name: str) -> str:
    return "an" if name[0] in "aeiou" else "a"


def _report(problems: Sequence[Problem], document: Document, source: str) -> str:
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    placed = [(document.line(problem.location) or 0, problem) for problem in problems]
    lines = [
        f"  {f'line {line}: ' if line else ''}{_path(problem.location)}: {problem.message}"
        for line, problem in sorted(placed, key=lambda pair: pair[0])
    ]
    return "\n".join([f"{source}: {count} in the mapping", *lines])


def _path(location: Location) -> str:
    """`resources[2].port.entity.mappings.identifier`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or "the document"
